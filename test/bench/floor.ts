/** What the file system alone asks for, see drivers/floor.ts: no unpacking can be faster. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { runRounds, type Series } from './rounds.ts';

export function floorRounds(bench: Bench, corpus: Corpus): Promise<Series[]> {
  const out = join(bench.scratch, 'floor');
  const [root = ''] = corpus.roots;
  const contenders = bench.options.workers.map((processes) => ({
    id: `${corpus.name}/floor/${processes}`,
    label: `files created from memory by ${processes} ${processes === 1 ? 'process' : 'processes'}`,
    command: () => ({
      program: process.execPath,
      args: [bench.drivers.floor, join(corpus.dir, root), out, String(processes)],
    }),
    // The children read the whole tree before they start.
    ownSeconds: Number,
    after: async () => {
      await rm(out, { recursive: true });
      return {};
    },
  }));
  return runRounds(contenders, bench.options.runs, bench.log);
}
