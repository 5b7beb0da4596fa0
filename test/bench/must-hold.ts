/** The promises about speed, each a figure of one run and its limit. `--check` fails where one does not hold. */
import { find, maxKnown, wallRatio, type Results } from './results.ts';

export interface Requirement {
  text: string;
  atMost: number;
  unit: 'ratio' | 'MiB';
  figure: (results: Results) => number | undefined;
}

export interface Verdict {
  text: string;
  atMost: number;
  unit: 'ratio' | 'MiB';
  /** undefined: not measured in this run. */
  figure: number | undefined;
  /** A figure that was not measured breaks no promise; the table says that it is missing. */
  broken: boolean;
}

export function judge(results: Results): Verdict[] {
  return requirements(Math.max(...results.workers)).map(({ text, atMost, unit, figure }) => {
    const found = figure(results);
    return { text, atMost, unit, figure: found, broken: found !== undefined && found > atMost };
  });
}

/** @param n our worker threads: the CPUs of the machine these limits are for */
function requirements(n: number): Requirement[] {
  const ours = `ours-gzip-${n}`;
  return [
    wall('unpack / `tar -xzf`', 0.45, `L/unpack/${ours}`, 'L/unpack/tar-gzip'),
    wall('unpack / `zstd -dc \\| tar -x`', 0.8, `L/unpack/${ours}`, 'L/unpack/zstd'),
    wall('unpack / node-tar `x`', 0.07, `L/unpack/${ours}`, 'L/unpack/node-tar'),
    wall('pack / `tar -czf`', 0.22, `L/pack/${ours}`, 'L/pack/tar-gzip'),
    {
      text: 'size of the archive / `tar -czf`',
      atMost: 1.05,
      unit: 'ratio',
      figure: (results) => sizeRatio(results, `L/pack/${ours}`, 'L/pack/tar-gzip'),
    },
    wall('pack / node-tar `c({gzip})`', 0.22, `L/pack/${ours}`, 'L/pack/node-tar'),
    wall('restore from S3 / old way', 0.42, `L/restore/ours-${n}`, 'L/restore/old-way'),
    wall('save to S3 / old way', 0.25, `L/save/ours-${n}`, 'L/save/old-way'),
    wall(
      'one package of L changes: `ensure` / `npm ci`, `tar -czf`, `aws s3 cp`',
      0.15,
      'L/bump/ours',
      'L/bump/old-way',
    ),
    wall('restore of V from S3 / old way', 0.6, `V/restore/ours-${n}`, 'V/restore/old-way'),
    wall(
      'restore, 40 MB/s a connection and 20 ms to the first byte / not paced',
      1.15,
      'L/network/40',
      'L/network/free',
    ),
    wall('restore, 15 MB/s a connection / not paced', 1.5, 'L/network/15', 'L/network/free'),
    ...['ext4', 'overlayfs', 'xfs'].map((kind) =>
      wall(`restore onto ${kind} / \`zstd -dc \\| tar -x\``, 0.8, `L/${kind}/ours-gzip`, `L/${kind}/zstd`),
    ),
    wall('unpack, 2 workers / 1 worker', 0.65, 'L/unpack/ours-gzip-2', 'L/unpack/ours-gzip-1'),
    wall('pack, 2 workers / 1 worker', 0.62, 'L/pack/ours-gzip-2', 'L/pack/ours-gzip-1'),
    { text: 'peak memory of ours, any corpus', atMost: 256, unit: 'MiB', figure: peakMebibytes },
    {
      text: 'unpack zstd / unpack gzip, same Node',
      atMost: 0.85,
      unit: 'ratio',
      figure: (results) =>
        wallRatio(results, `L/unpack/ours-zstd-${n}`, `L/unpack/${ours}-zstd-node`) ??
        wallRatio(results, `L/unpack/ours-zstd-${n}`, `L/unpack/${ours}`),
    },
    wall('pack L twice over / once', 2.1, 'L/linear-pack/twice', 'L/linear-pack/once'),
    wall('unpack L twice over / once', 2.1, 'L/linear-unpack/twice', 'L/linear-unpack/once'),
    wall(
      "unpack of `tar`'s own archive / `tar -xzf`",
      1,
      `L/unpack/ours-foreign-gzip-${n}`,
      'L/unpack/tar-gzip',
    ),
    wall('`sandbox-cache key npm` / `node -e 0`', 2, 'start-up/key', 'start-up/node'),
    wall('restore, already in place / `node -e 0`', 2.2, 'start-up/receipt', 'start-up/node'),
    wall('restore, no bucket set / `node -e 0`', 2.2, 'start-up/no-bucket', 'start-up/node'),
  ];
}

function wall(text: string, atMost: number, id: string, ofId: string): Requirement {
  return { text, atMost, unit: 'ratio', figure: (results) => wallRatio(results, id, ofId) };
}

function sizeRatio(results: Results, id: string, ofId: string): number | undefined {
  const [bytes, ofBytes] = [find(results, id)?.storedBytes, find(results, ofId)?.storedBytes];
  return bytes === undefined || ofBytes === undefined ? undefined : bytes / ofBytes;
}

function peakMebibytes({ series }: Results): number | undefined {
  // Of an install that ours starts, the largest process is npm.
  const alone = series.filter(({ ours, id }) => ours && !id.includes('/bump/'));
  const peak = maxKnown(alone.flatMap(({ peakRssBytes }) => peakRssBytes));
  return peak === undefined ? undefined : peak / 2 ** 20;
}
