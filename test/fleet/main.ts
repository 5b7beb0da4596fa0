/** `npx tsx test/fleet/main.ts`: the table of docs/scale.md. */
import { simulate } from './simulate.ts';

const S3 = { getsPerSecond: 5500, rate: 60e6, latencyMs: 50, seed: 1 };
const lines = [
  '| machines at once | entry | restored | requests | refused (503) | middle one | last one |',
  '| ---: | ---: | ---: | ---: | ---: | ---: | ---: |',
];
for (const bytes of [136e6, 20e6])
  for (const restorers of [10, 100, 1000, 10_000]) {
    const result = simulate({ ...S3, restorers, bytes });
    const times = [result.medianSeconds, result.lastSeconds].map((seconds) => `${seconds.toFixed(1)} s`);
    lines.push(
      `| ${[restorers, `${bytes / 1e6} MB`, result.restored, result.requests, result.refused, ...times].join(' | ')} |`,
    );
  }
process.stdout.write(`${lines.join('\n')}\n`);
