/**
 * A whole restore, verified, from a directory in memory onto the file systems that people have; the others only unpack.
 * Each run has a new file system.
 */
import { mkdirSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { restorer, type Way } from './end-to-end.ts';
import { FILE_SYSTEMS, freshFileSystem, unmountable, type FileSystem } from './fresh-file-system.ts';
import { measure, shell, type Command } from './measure.ts';
import { PACKERS, UNPACKERS } from './rivals.ts';
import { runRounds, type Contender, type Series } from './rounds.ts';

const CLI = fileURLToPath(new URL('../../bin/sandbox-cache.js', import.meta.url));
const RIVALS = ['tar-gzip', 'zstd'];

export async function fileSystemRounds(bench: Bench, corpus: Corpus): Promise<Series[]> {
  const place = join(bench.scratch, 'file-systems');
  mkdirSync(place);
  const ways = [
    ...ownWays(bench, corpus, place),
    ...(bench.options.oursOnly ? [] : rivalWays(corpus, place)),
  ];
  for (const { id, save } of ways) {
    bench.log(`${corpus.name}: packing for ${id}`);
    await measure(save(''));
  }
  const found: Series[] = [];
  for (const kind of FILE_SYSTEMS) {
    const reason = unmountable(kind, bench.scratch);
    if (reason === undefined) {
      const contenders = ways.map((way) => contender(corpus, way, { kind, scratch: bench.scratch }));
      found.push(...(await runRounds(contenders, bench.options.runs, bench.log)));
    } else bench.log(`${kind} is not measured: ${reason}`);
  }
  await rm(place, { recursive: true });
  return found;
}

function contender(
  corpus: Corpus,
  way: Way,
  { kind, scratch }: { kind: FileSystem; scratch: string },
): Contender {
  const fresh = freshFileSystem(kind, scratch);
  const onIt = restorer(corpus, way, { place: fresh.dir, prefix: '' });
  return {
    ...onIt,
    id: `${corpus.name}/${kind}/${way.id}`,
    before: async (round) => {
      fresh.open();
      await onIt.before?.(round);
    },
    after: async (round, sample) => {
      try {
        return (await onIt.after?.(round, sample)) ?? {};
      } finally {
        fresh.close();
      }
    },
  };
}

function ownWays({ options, zstdNode }: Bench, corpus: Corpus, place: string): Way[] {
  const nodes = { gzip: process.execPath, zstd: zstdNode };
  return (['gzip', 'zstd'] as const).flatMap((compression) => {
    const node = nodes[compression];
    if (node === undefined || !options.compressions.includes(compression)) return [];
    const command = (action: string, project: string): Command => ({
      program: node,
      args: [CLI, '-C', project, action, ...corpus.recipe],
      env: {
        CACHE_LOCAL_DIR: join(place, `store-${compression}`),
        CACHE_COMPRESSION: compression,
        CACHE_WORKERS: String(Math.max(...options.workers)),
      },
    });
    return {
      id: `ours-${compression}`,
      label: `restore, ${compression}, verified`,
      ours: true,
      save: () => command('save', corpus.dir),
      restore: (_: string, project: string) => command('restore', project),
    };
  });
}

function rivalWays(corpus: Corpus, place: string): Way[] {
  return RIVALS.flatMap((id) => {
    const [packer, unpacker] = [PACKERS, UNPACKERS].map((all) => all.find((one) => one.id === id));
    if (packer === undefined || unpacker === undefined) return [];
    const env = { archive: join(place, `${id}.archive`), roots: corpus.roots.join(' ') };
    return {
      id,
      label: unpacker.label,
      ours: false,
      save: () => ({ ...shell(packer.script, corpus.dir), env }),
      restore: (_: string, project: string) => ({ ...shell(unpacker.script, project), env }),
    };
  });
}
