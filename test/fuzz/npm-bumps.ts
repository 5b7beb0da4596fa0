/**
 * Random bumps of random projects: what an install on top of an older tree makes, against `npm ci` from nothing.
 *
 *     npx tsx test/fuzz/npm-bumps.ts --rounds 200 [--seed 1] [--npm <folder of an npm package>]…
 *
 * Ends with 1 if a tree came out wrong. `--show` keeps the trees, and tells why there was none to compare.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { type BumpResult, playBump } from './npm/incremental.ts';
import { installedNpm, openNpm } from './npm/rounds.ts';

const { values } = parseArgs({
  options: {
    npm: { type: 'string', multiple: true },
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '100' },
    show: { type: 'boolean', default: false },
  },
});
const npms = (values.npm ?? [installedNpm()]).map(openNpm);
const counts: Record<BumpResult['type'], number> = {
  refused: 0,
  'no base': 0,
  'given up': 0,
  exact: 0,
  wrong: 0,
};
let kept = 0;
const first = Number(values.seed);
for (let seed = first; seed < first + Number(values.rounds); seed++) {
  const folder = mkdtempSync(join(tmpdir(), 'npm-bumps-'));
  const result = await playBump({ seed, folder, npms });
  counts[result.type]++;
  kept += result.kept;
  if (values.show || result.type === 'wrong' || result.type === 'given up')
    console.log(`seed ${seed}: ${result.type} ${result.why}${values.show ? ` ${folder}` : ''}`);
  if (!values.show) rmSync(folder, { recursive: true, force: true });
}
console.log(counts, `${kept} packages kept`);
if (counts.wrong > 0) process.exitCode = 1;
