/** What one core deflates and inflates: our codec against Node's zlib, on the same pieces of the same tar. */
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import type { CodecJob } from './drivers/codec.ts';
import { measure, shell } from './measure.ts';
import { runRounds, type Contender, type Series } from './rounds.ts';

const LEVELS = [1, 4, 6, 9];
/** What `tar -czf` takes, and most others: its streams are the ones to inflate. */
const COMMON_LEVEL = 6;

export async function codecRounds(bench: Bench, corpus: Corpus): Promise<Series[]> {
  const place = join(bench.scratch, 'codec');
  mkdirSync(place);
  const tar = join(place, 'tree.tar');
  await measure(shell(`tar -cf '${tar}' ${corpus.roots.join(' ')}`, corpus.dir));
  const codecs = ['ours', 'zlib'] as const;
  const deflaters = LEVELS.flatMap((level) =>
    codecs.map((codec) => contender(bench, corpus, { operation: 'deflate', codec, level, tar })),
  );
  const inflaters = codecs.map((codec) =>
    contender(bench, corpus, { operation: 'inflate', codec, level: COMMON_LEVEL, tar }),
  );
  const series = await runRounds([...deflaters, ...inflaters], bench.options.runs, bench.log);
  await rm(place, { recursive: true });
  return series;
}

function contender({ drivers }: Bench, corpus: Corpus, job: CodecJob): Contender {
  const { operation, codec, level } = job;
  const name = codec === 'ours' ? 'ours' : "Node's zlib";
  return {
    id: `${corpus.name}/${operation}/${codec}-${level}`,
    label: operation === 'deflate' ? `${name}, level ${level}` : name,
    ours: codec === 'ours',
    command: () => ({ program: process.execPath, args: [drivers.codec, JSON.stringify(job)] }),
    ownSeconds: (stdout) => Number(stdout.split(' ')[0]),
    after: async (_round, { stdout }) => {
      const storedBytes = Number(stdout.split(' ')[1]);
      return storedBytes > 0 ? { storedBytes } : {};
    },
  };
}
