/**
 * Counts what has come out of an archive, checks it against the limits, and keeps what is left to do at the
 * end.
 */
import { MAX_NAME_BYTES, RATIO_FROM } from '../bounds.ts';
import { limit } from '../errors.ts';
import type { Limits } from '../types.ts';
import type { Link, OpenFile, PendingStat, UnpackReply } from '../workers/protocol.ts';

export interface Tally {
  /** Files, directories and links. */
  readonly entries: number;
  readonly hardlinks: readonly Link[];
  readonly symlinks: readonly Link[];
  /** Directories and files written in pieces. */
  readonly pendingStats: readonly PendingStat[];
  /** @throws CacheError ARCHIVE_LIMIT */
  add(reply: UnpackReply): void;
  /** Counts tar that is about to be unpacked. @throws CacheError ARCHIVE_LIMIT */
  checkRatio(tarBytes: number, storedBytes: number): void;
}

export function createTally(limits: Limits): Tally {
  const hardlinks: Link[] = [];
  const symlinks: Link[] = [];
  const pendingStats: PendingStat[] = [];
  let entries = 0;
  let bytes = 0;
  let kept = 0;

  function keep<T extends { target: string; to?: string }>(list: T[], more: readonly T[]): void {
    for (const one of more) {
      list.push(one);
      kept += one.target.length + (one.to?.length ?? 0);
    }
  }

  function checkBytes(total: number): void {
    if (total > limits.maxBytes)
      throw limit(`more than ${limits.maxBytes} bytes of files`, 'CACHE_MAX_BYTES');
  }

  return {
    get entries() {
      return entries;
    },
    hardlinks,
    symlinks,
    pendingStats,
    add(reply) {
      entries += reply.entries;
      if (entries > limits.maxFiles) throw limit(`more than ${limits.maxFiles} entries`, 'CACHE_MAX_FILES');
      bytes += reply.bytes;
      checkBytes(bytes);
      keep(hardlinks, reply.hardlinks);
      keep(symlinks, reply.symlinks);
      keep(pendingStats, reply.directories);
      if (reply.open !== undefined) {
        checkBytes(bytes + reply.open.size - reply.open.written);
        keep(pendingStats, [pendingStatOf(reply.open)]);
      }
      if (kept > MAX_NAME_BYTES)
        throw limit(`more than ${MAX_NAME_BYTES} bytes of names of directories and links`);
    },
    checkRatio(tarBytes, storedBytes) {
      if (tarBytes > RATIO_FROM && tarBytes > limits.maxRatio * storedBytes)
        throw limit(`more than ${limits.maxRatio} bytes for each one stored`, 'CACHE_MAX_RATIO');
    },
  };
}

/** The file was created writable for its owner; its real mode is set at the end. */
function pendingStatOf({ target, mode, mtimeUs }: OpenFile): PendingStat {
  return { target, mode: (mode & 0o600) === 0o600 ? -1 : mode, mtimeUs };
}
