/**
 * Packs or unpacks as one process, with no store and no recipe: what the archive code alone costs, Node's start included.
 * Takes one argument, a job as JSON. Bundled by drivers/build.ts, with the worker beside it as in the published package.
 */
import { closeSync, createReadStream, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { pack } from '../../../src/archive/pack/pack.ts';
import type { Compression } from '../../../src/archive/types.ts';
import { bundleRecipe } from '../../../src/recipes/bundle/recipe.ts';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';
import { startUnpacker } from '../../../src/archive/unpack/unpack.ts';

export interface ArchiveJob {
  operation: 'pack' | 'unpack';
  archive: string;
  /** Pack: the project directory. Unpack: a directory that does not exist yet. */
  dir: string;
  roots: readonly string[];
  compression: Compression;
  level?: number;
  workers: number;
  /** Unpack: the archive was made by another program. */
  foreign?: boolean;
}

const LIMITS = { maxBytes: 1e12, maxFiles: 1e8, maxRatio: 1e4, maxPathBytes: 4096 };
/** Of npm and Bundler together: none of a corpus of one looks like one of the other. */
const PACKAGES = [npmRecipe, bundleRecipe].flatMap(({ packages = [] }) => packages);
const SEAL = { keyDigest: 'b'.repeat(64), recipe: 'bench', runtime: 'any' };
/** As the network's windows have it: far from one read a block, far from the whole archive. */
const READ_BYTES = 1 << 20;

await run(JSON.parse(process.argv[2] ?? '') as ArchiveJob);

function run(job: ArchiveJob): Promise<void> {
  return job.operation === 'pack' ? packToFile(job) : unpackFromFile(job);
}

async function packToFile(job: ArchiveJob): Promise<void> {
  const packing = pack({
    dir: job.dir,
    roots: job.roots,
    excludes: [],
    packages: PACKAGES,
    madeTimes: { except: [] },
    compression: job.compression,
    level: job.level,
    workers: job.workers,
    limits: LIMITS,
    seal: { ...SEAL, installSeconds: 0 },
    signal: new AbortController().signal,
  });
  const file = openSync(job.archive, 'w');
  for await (const bytes of packing.body) writeSync(file, bytes);
  closeSync(file);
  await packing.summary;
}

async function unpackFromFile(job: ArchiveJob): Promise<void> {
  mkdirSync(job.dir);
  const roots = job.roots.map((prefix) => {
    mkdirSync(join(job.dir, prefix, '..'), { recursive: true });
    return { prefix, dir: join(job.dir, prefix) };
  });
  const unpacker = startUnpacker(job.workers);
  const summary = await unpacker.unpack(createReadStream(job.archive, { highWaterMark: READ_BYTES }), {
    compression: job.compression,
    roots,
    limits: LIMITS,
    mustBeOurs: job.foreign !== true,
    expected: SEAL,
    signal: new AbortController().signal,
  });
  await unpacker.close();
  if (summary.roots.length !== job.roots.length) throw new Error(`found ${summary.roots.join(', ')} only`);
}
