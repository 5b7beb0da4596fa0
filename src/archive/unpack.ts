/**
 * Unpacking: the main thread splits the stream and moves bytes, the workers do everything else. What is wrong with an archive
 * shows at the latest at its end, so the caller unpacks into a staging area and drops it when this rejects.
 */
import { existsSync } from 'node:fs';
import { createByteReader, type ByteReader } from './byte-reader.ts';
import { createCrew, type Crew } from './crew.ts';
import { corrupt, memoryFault } from './faults.ts';
import { unpackForeign } from './foreign.ts';
import { containerFor } from './format/container.ts';
import { checkSeal } from './ledger.ts';
import { createMemory, type Memory } from './memory.ts';
import { createPool, type Pool } from './pool.ts';
import { unpackSealed } from './sealed.ts';
import { beginsWithFrame } from './split.ts';
import { stoppable } from './stoppable.ts';
import { createTally, lastOfEach, refuseTwice, type Tally } from './tally.ts';
import type { UnpackOptions, UnpackSummary } from './types.ts';
import type { SettleJob } from './settle.ts';
import type { Settling, UnpackReply, UnpackSetup } from './unpack-member.ts';

/** What the paths of one run share. */
export interface Run {
  reader: ByteReader;
  memory: Memory;
  crew: Crew;
  tally: Tally;
  setup: UnpackSetup;
  /** Counts what a job has unpacked. @throws CacheError ARCHIVE_LIMIT */
  add: (reply: UnpackReply) => void;
}

/** Workers for one archive. */
export interface Unpacker {
  /**
   * Unpacks an archive: one of ours, checked from its first byte to its last, or a plain tar of the given compression.
   * Rejects with the first thing that went wrong, as soon as it does, and stops all work before it does. One at a time in a process:
   * the umask is 0 meanwhile.
   * @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, ARCHIVE_REFUSED, ARCHIVE_LIMIT, ARCHIVE_MISMATCH, ARCHIVE_UNTRUSTED,
   *   CONFIG_INVALID (a Node without zstd), DISK_FULL, TARGET_REFUSED, TARGET_UNWRITABLE, WORKER_DIED, OUT_OF_MEMORY; the signal's reason; what the source
   *   throws
   */
  unpack(source: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<UnpackSummary>;
  /** Ends the workers. Idempotent. */
  close(): Promise<void>;
}

/** Starts the workers, while its caller still looks for the archive. */
export function startUnpacker(workers: number): Unpacker {
  const pool = createPool({ size: workers, atOnce: true });
  return {
    async unpack(source, options) {
      const umask = process.umask(0);
      try {
        return await unpackWith(pool, source, options);
      } catch (error) {
        await pool.close();
        throw error;
      } finally {
        process.umask(umask);
      }
    },
    close: () => pool.close(),
  };
}

/** Unpacks on a given pool. */
export async function unpackWith(
  pool: Pool,
  source: AsyncIterable<Uint8Array>,
  options: UnpackOptions,
): Promise<UnpackSummary> {
  const stop = new AbortController();
  const onAbort = (): void => stop.abort(options.signal.reason);
  options.signal.addEventListener('abort', onAbort);
  if (options.signal.aborted) onAbort();
  try {
    const summary = await unpackAll(pool, stoppable(source, stop.signal), { ...options, stop });
    stop.signal.throwIfAborted();
    return summary;
  } catch (error) {
    // A failure may show in several places: the first is the cause.
    throw memoryFault(stop.signal.aborted ? stop.signal.reason : error);
  } finally {
    options.signal.removeEventListener('abort', onAbort);
  }
}

async function unpackAll(
  pool: Pool,
  source: AsyncGenerator<Uint8Array, void, void>,
  options: UnpackOptions & { stop: AbortController },
): Promise<UnpackSummary> {
  const { limits, onProgress } = options;
  const container = containerFor(options.compression);
  const memory = createMemory(pool.capacity);
  const reader = createByteReader(source, memory);
  const crew = createCrew(pool, options.stop);
  const tally = createTally(limits);
  const setup = setupOf(options);
  const run: Run = {
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
    const sealed = await beginsWithFrame(reader, container);
    if (!sealed && options.mustBeOurs) throw corrupt('a damaged beginning');
    const { tarBytes, trailer } = sealed
      ? await unpackSealed(run, container)
      : await unpackForeign(run, container);
    if (trailer === undefined) options.checkSignature?.(new Uint8Array(0), undefined);
    else checkSeal(trailer, options);
    await settleAll(run, sealed ? tally.settlings : lastOfEach(tally.settlings));
    return {
      files: tally.entries,
      bytes: tarBytes,
      storedBytes: reader.position,
      roots: rootsHeld(options),
      installSeconds: (trailer?.installMs ?? 0) / 1000,
      sealed,
    };
  } finally {
    await source.return(undefined);
  }
}

function setupOf({ roots, limits }: UnpackOptions): UnpackSetup {
  return {
    roots: roots.map((root) => ({ ...root, prefix: binary(root.prefix), dir: binary(root.dir) })),
    maxPathBytes: limits.maxPathBytes,
    maxFiles: limits.maxFiles,
    maxBytes: limits.maxBytes,
  };
}

/** Links, then modes and times, see settle.ts: each step needs the one before it to be done. */
async function settleAll(
  { crew, tally: { hardlinks, symlinks }, setup: { roots } }: Run,
  settlings: readonly Settling[],
): Promise<void> {
  refuseTwice(settlings, roots);
  const run = async (steps: Omit<SettleJob, 'type' | 'roots'>[]): Promise<void> => {
    for (const step of steps)
      await crew.submit(
        () => ({ type: 'settle', roots, ...step }),
        () => {},
      );
    await crew.idle();
  };
  // One may link to another: in their order.
  if (hardlinks.length > 0) await run([{ hardlinks: [...hardlinks] }]);
  await run(batches(symlinks).map((batch) => ({ symlinks: batch })));
  await run(batches(settlings).map((batch) => ({ times: batch })));
  const modes = settlings.filter(({ mode }) => mode !== -1);
  modes.sort((a, b) => b.target.length - a.target.length);
  if (modes.length > 0) await run([{ modes }]);
}

const BATCH = 1000;

function batches<T>(all: readonly T[]): T[][] {
  const count = Math.ceil(all.length / BATCH);
  return Array.from({ length: count }, (_, n) => all.slice(n * BATCH, (n + 1) * BATCH));
}

/** Several prefixes may lead to one place: its first counts. */
function rootsHeld({ roots }: UnpackOptions): string[] {
  const first = roots.filter(({ dir }, n) => roots.findIndex((other) => other.dir === dir) === n);
  return first.filter(({ dir }) => existsSync(dir)).map(({ prefix }) => prefix);
}

function binary(text: string): string {
  return Buffer.from(text).toString('latin1');
}
