/**
 * Reads an archive from its first byte to its last, with every check that needs no disk. The pool's jobs
 * decide what becomes of it: `unpack` writes files, `list` only describes them. So whatever is refused here,
 * both refuse.
 */
import { createByteReader } from './byte-reader.ts';
import { createCrew } from '../workers/crew.ts';
import { corrupt, memoryError } from '../errors.ts';
import { readForeign } from './read-foreign.ts';
import type { TrailerRecord } from '../format/record.ts';
import { checkSeal } from './ledger.ts';
import { createMemory } from '../workers/buffer-pool.ts';
import type { Pool } from '../workers/pool.ts';
import { readOwn } from './read-own.ts';
import { beginsWithFrame } from './split-archive.ts';
import { linkAbort, type LinkedAbort } from '../../async/abort.ts';
import { stoppable } from '../../async/stoppable.ts';
import { createTally } from './tally.ts';
import type { StoredMember, UnpackOptions } from '../types.ts';
import type { ReadContext } from './read-context.ts';
import type { UnpackSetup } from '../workers/protocol.ts';
import { containerFor } from '../format/containers.ts';
import { binary } from '../format/binary-string.ts';

/** An archive that has arrived whole and passed its checks. */
export interface ReadArchive {
  /** Whether it is one of ours. */
  isOurs: boolean;
  tarBytes: number;
  /** Of ours. */
  trailer: TrailerRecord | undefined;
  members: readonly StoredMember[];
}

export interface ReadThroughOptions<T> extends UnpackOptions {
  /** What is left to do when everything has been read. */
  finish: (run: ReadContext, archive: ReadArchive) => Promise<T>;
}

/** Rejects with the first error, at once. */
export async function readThrough<T>(
  pool: Pool,
  source: AsyncIterable<Uint8Array>,
  options: ReadThroughOptions<T>,
): Promise<T> {
  const stop = linkAbort(options.signal);
  try {
    const result = await readAll(pool, stoppable(source, stop.signal), { ...options, stop });
    stop.signal.throwIfAborted();
    return result;
  } catch (error) {
    // One cause may show as several errors. The first one is it.
    throw memoryError(stop.signal.aborted ? stop.signal.reason : error);
  } finally {
    stop.unlink();
  }
}

async function readAll<T>(
  pool: Pool,
  source: AsyncGenerator<Uint8Array, void, void>,
  options: ReadThroughOptions<T> & { stop: LinkedAbort },
): Promise<T> {
  const { limits, onProgress } = options;
  const container = containerFor(options.compression);
  const memory = createMemory(pool.capacity);
  const reader = createByteReader(source, memory);
  const crew = createCrew(pool, options.stop);
  const tally = createTally(limits);
  const setup = setupOf(options);
  const run: ReadContext = {
    reader,
    crew,
    tally,
    setup,
    memory,
    add(reply) {
      memory.put(reply.memory);
      tally.add(reply);
      onProgress?.({ bytes: reader.position, files: tally.entries });
    },
  };

  try {
    const isOurs = await beginsWithFrame(reader, container);
    if (!isOurs && options.mustBeOurs) throw corrupt('a damaged beginning');
    const read = isOurs ? await readOwn(run, container) : await readForeign(run, container);
    const { trailer } = read;
    if (trailer === undefined) options.checkSignature?.(new Uint8Array(0), undefined);
    else checkSeal(trailer, options);
    return await options.finish(run, { isOurs, ...read });
  } finally {
    await source.return(undefined);
  }
}

/** What each job of a run gets. */
export function setupOf({ roots, limits }: Pick<UnpackOptions, 'roots' | 'limits'>): UnpackSetup {
  return {
    roots: roots.map((root) => ({ ...root, prefix: binary(root.prefix), dir: binary(root.dir) })),
    maxPathBytes: limits.maxPathBytes,
    maxFiles: limits.maxFiles,
    maxBytes: limits.maxBytes,
  };
}
