/** Is the cost linear? The same tree twice over, in one archive, against the tree once. */
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { measure, shell } from './measure.ts';
import { driverCommand } from './ours.ts';
import { runRounds, type Contender, type Series } from './rounds.ts';

export async function linearRounds(bench: Bench, corpus: Corpus): Promise<Series[]> {
  const place = join(bench.scratch, 'linear');
  mkdirSync(place);
  const copies = ['first', 'second'];
  for (const copy of copies) await measure(shell(`cp -a '${corpus.dir}' '${join(place, copy)}'`));
  const rootsOf = (copy: string) => corpus.roots.map((root) => `${copy}/${root}`);
  const once = rootsOf('first');
  const twice = copies.flatMap(rootsOf);

  const contenders = (operation: 'pack' | 'unpack') => [
    contender(bench, { operation, place, roots: once, name: `${corpus.name}/linear-${operation}/once` }),
    contender(bench, { operation, place, roots: twice, name: `${corpus.name}/linear-${operation}/twice` }),
  ];
  const packed = await runRounds(contenders('pack'), bench.options.runs, bench.log);
  const unpacked = await runRounds(contenders('unpack'), bench.options.runs, bench.log);
  await rm(place, { recursive: true });
  return [...packed, ...unpacked];
}

interface Load {
  operation: 'pack' | 'unpack';
  place: string;
  roots: readonly string[];
  name: string;
}

function contender({ drivers, options }: Bench, { operation, place, roots, name }: Load): Contender {
  const out = join(place, 'unpacked');
  const workers = Math.max(...options.workers);
  const job = {
    operation,
    archive: join(place, `${roots.length}.tar.gz`),
    dir: operation === 'pack' ? place : out,
    roots,
    compression: 'gzip',
    workers,
  } as const;
  return {
    id: name,
    label: `ours, gzip, ${workers} workers: ${name.split('/').at(-1)}`,
    ours: true,
    before: () => rm(out, { recursive: true, force: true }),
    command: () => driverCommand(drivers, process.execPath, job),
  };
}
