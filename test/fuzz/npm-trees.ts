/**
 * The fuzzer of the verification of npm trees, by hand:
 *
 *     npx tsx test/fuzz/npm-trees.ts --rounds 200 [--seed 1] [--damages 8] [--npm <folder of an npm package>]…
 *
 * Prints where our verdict is not that of npm, and ends with 1 if there is any such place. `--seed N --rounds 1 --show` shows what a
 * project was like and leaves it on disk.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeProject, installedNpm, openNpm, playRound } from './npm/rounds.ts';

const { values } = parseArgs({
  options: {
    npm: { type: 'string', multiple: true },
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '100' },
    damages: { type: 'string', default: '8' },
    show: { type: 'boolean', default: false },
    base: { type: 'string', default: tmpdir() },
  },
});
const npms = (values.npm ?? [installedNpm()]).map(openNpm);
let compared = 0;
let refused = 0;
let found = 0;
const first = Number(values.seed);
for (let seed = first; seed < first + Number(values.rounds); seed++) {
  const folder = mkdtempSync(join(values.base, 'npm-trees-'));
  try {
    if (values.show) console.log(describeProject(seed, npms.length));
    const result = await playRound({ seed, folder, npms, damages: Number(values.damages) });
    compared += result.compared;
    if (result.refused !== undefined) {
      refused++;
      if (values.show) console.log(result.refused);
    }
    found += result.findings.length;
    for (const finding of result.findings) console.log(`seed ${seed}: ${finding}`);
  } catch (error) {
    console.log(`seed ${seed}: crashed`, error);
  }
  if (!values.show) rmSync(folder, { recursive: true, force: true });
  else console.log(folder);
}
console.log(`${compared} verdicts compared, ${refused} projects refused by npm, ${found} differences`);
if (found > 0) process.exitCode = 1;
