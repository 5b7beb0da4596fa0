/**
 * Random bumps of random bundles: what an install on top of an older bundle makes, against one from nothing.
 *
 *     npx tsx test/fuzz/gem-bumps.ts --rounds 50 [--seed 1] [--show]
 *
 * Ends with 1 if a bundle came out wrong. `--show` keeps the last one.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { buildGems, type GemBump, playGemBump } from './gems.ts';

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '50' },
    show: { type: 'boolean', default: false },
  },
});
const root = mkdtempSync(join(tmpdir(), 'gem-bumps-'));
const source = join(root, 'source');
await buildGems(source);
const counts: Record<GemBump['type'], number> = { 'no base': 0, 'given up': 0, exact: 0, wrong: 0 };
let kept = 0;
const first = Number(values.seed);
for (let seed = first; seed < first + Number(values.rounds); seed++) {
  const folder = mkdtempSync(join(root, 'bundle-'));
  const result = await playGemBump(seed, { folder, source });
  counts[result.type]++;
  kept += result.kept;
  if (values.show || result.type !== 'exact') console.log(`seed ${seed}: ${result.type} ${result.why}`);
  if (values.show) console.log(folder);
  else rmSync(folder, { recursive: true });
}
if (!values.show) rmSync(root, { recursive: true });
console.log(counts, `${kept} gems kept`);
if (counts.wrong > 0) process.exitCode = 1;
