/**
 * Unpacking: the main thread splits the stream and moves bytes; the workers do everything else. Some faults
 * of an archive show only at its end, so the caller unpacks into a staging area, and removes it when this
 * rejects.
 */
import { existsSync } from 'node:fs';
import { createPool, type Pool } from '../workers/pool.ts';
import { readThrough, type ReadArchive } from '../read/read-through.ts';
import type { UnpackOptions, UnpackSummary } from '../types.ts';
import type { ReadContext } from '../read/read-context.ts';
import type { PendingStat, FinishJob } from '../workers/protocol.ts';
import { refuseTwice } from './same-names.ts';
import { lastOfEach } from './finish-order.ts';

/** Workers for one archive. */
export interface Unpacker {
  /**
   * Unpacks an archive: one of ours, checked from its first byte to its last, or a plain tar of the given
   * compression. Rejects with the first error, as soon as all other work has stopped. A process can run one
   * at a time, because the umask is 0 meanwhile.
   * @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, ARCHIVE_REFUSED, ARCHIVE_LIMIT, ARCHIVE_MISMATCH,
   *   ARCHIVE_UNTRUSTED, CONFIG_INVALID (a Node without zstd), DISK_FULL, TARGET_REFUSED, TARGET_UNWRITABLE,
   *   WORKER_DIED, OUT_OF_MEMORY; the signal's reason; what the source throws
   */
  unpack(source: AsyncIterable<Uint8Array>, options: UnpackOptions): Promise<UnpackSummary>;
  /** Ends the workers. Idempotent. */
  close(): Promise<void>;
}

/** Starts the workers, so that they are ready when the caller has found the archive. */
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
  const finish = async (
    run: ReadContext,
    { isOurs, tarBytes, trailer, members }: ReadArchive,
  ): Promise<UnpackSummary> => {
    const { reader, tally } = run;
    await finishAll(run, isOurs ? tally.pendingStats : lastOfEach(tally.pendingStats));
    return {
      files: tally.entries,
      bytes: tarBytes,
      storedBytes: reader.position,
      roots: rootsHeld(options),
      installSeconds: (trailer?.installMs ?? 0) / 1000,
      isOurs,
      members,
    };
  };
  return readThrough(pool, source, { ...options, finish });
}

/** Makes links, then sets modes and times (see finish-tree.ts). Each step needs the one before. */
async function finishAll(
  { crew, tally: { hardlinks, symlinks }, setup: { roots } }: ReadContext,
  pendingStats: readonly PendingStat[],
): Promise<void> {
  refuseTwice(pendingStats, roots);
  const run = async (steps: Omit<FinishJob, 'type' | 'roots'>[]): Promise<void> => {
    for (const step of steps)
      await crew.submit(
        () => ({ type: 'finish', roots, ...step }),
        () => {},
      );
    await crew.idle();
  };
  // In the archive's order, because one may link to another.
  if (hardlinks.length > 0) await run([{ hardlinks: [...hardlinks] }]);
  await run(batches(symlinks).map((batch) => ({ symlinks: batch })));
  await run(batches(pendingStats).map((batch) => ({ times: batch })));
  const modes = pendingStats.filter(({ mode }) => mode !== -1);
  modes.sort((a, b) => b.target.length - a.target.length);
  if (modes.length > 0) await run([{ modes }]);
}

const BATCH = 1000;

function batches<T>(all: readonly T[]): T[][] {
  const count = Math.ceil(all.length / BATCH);
  return Array.from({ length: count }, (_, n) => all.slice(n * BATCH, (n + 1) * BATCH));
}

/** Several prefixes may lead to one directory. The first one counts. */
function rootsHeld({ roots }: UnpackOptions): string[] {
  const first = roots.filter(({ dir }, n) => roots.findIndex((other) => other.dir === dir) === n);
  return first.filter(({ dir }) => existsSync(dir)).map(({ prefix }) => prefix);
}
