/** Cuts a stream of tar into pieces for the workers. */
import { type ReadOptions, type ReadEntry, nextEntry, contentLength } from './tar-entries.ts';
import type { Memory } from '../workers/buffer-pool.ts';
import { truncated, corrupt } from '../errors.ts';

export type Cut =
  /** Whole entries, except that the last file may continue in pieces. */
  | { kind: 'entries'; bytes: Buffer<ArrayBuffer>; length: number }
  /** A piece of the last file, its `length` bytes from `offset`; padding may follow. */
  | { kind: 'piece'; bytes: Buffer<ArrayBuffer>; offset: number; length: number };

/** Bytes of tar handed to a worker at once. */
const SLAB = 1024 * 1024;

/**
 * Cuts a stream of tar into slabs that own their memory.
 * @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, ARCHIVE_REFUSED, ARCHIVE_LIMIT
 */
export async function* cutTar(
  source: AsyncIterable<Buffer>,
  options: ReadOptions & {
    memory: Memory;
    /**
     * Whether the blocks that end a tar may be missing, because something else proves that the stream is
     * complete.
     */
    mayEndBare?: boolean;
  },
): AsyncGenerator<Cut, void, void> {
  const { memory } = options;
  let slab = memory.get(SLAB);
  let used = 0;
  /** Where the next entry begins. Greater than `used` while content of `last` is still to come. */
  let at = 0;
  let lastFrom = 0;
  let last: ReadEntry | undefined;
  /** The large file that is being cut into pieces. */
  let large: { size: number; offset: number; end: number } | undefined;
  let ended = false;
  /** Whether anything has been cut: an empty stream is not a tar. */
  let cutBefore = false;

  /**
   * Starts a new slab with the bytes of this one from `from` on, where an entry begins. Returns the old slab.
   */
  function renew(from: number, size = SLAB): Buffer<ArrayBuffer> {
    const full = slab;
    slab = memory.get(size);
    cutBefore ||= from > 0;
    full.copy(slab, 0, from, used);
    used -= from;
    at = 0;
    last = undefined;
    return full;
  }

  function* cutFull(): Generator<Cut> {
    if (used < at && last !== undefined && lastFrom === 0) {
      // The file does not fit into a slab.
      large = { size: last.size, offset: used - last.at, end: at - last.at };
      const length = used;
      yield { kind: 'entries', bytes: renew(length), length };
    } else if (at === 0) {
      // The headers do not fit. nextEntry limits how long they may be.
      renew(0, slab.length * 2);
    } else {
      const length = used < at ? lastFrom : at;
      yield { kind: 'entries', bytes: renew(length), length };
    }
  }

  function* cutPiece(): Generator<Cut> {
    const { size, offset, end } = large!;
    const length = Math.min(used, size - offset);
    large = offset + used === end ? undefined : { size, offset: offset + used, end };
    yield { kind: 'piece', bytes: renew(used), offset, length: Math.max(0, length) };
  }

  for await (const chunk of source) {
    let from = 0;
    while (from < chunk.length) {
      if (ended) {
        checkZeros(chunk.subarray(from));
        break;
      }
      const room =
        large === undefined
          ? slab.length - used
          : Math.min(slab.length - used, large.end - large.offset - used);
      const count = Math.min(room, chunk.length - from);
      chunk.copy(slab, used, from, from + count);
      from += count;
      used += count;
      if (large !== undefined) {
        if (count === room) yield* cutPiece();
        continue;
      }
      while (at < used) {
        const entry = nextEntry(slab, at, used, options);
        if (typeof entry === 'number') break;
        if (entry === undefined) {
          ended = true;
          checkZeros(slab.subarray(at, used));
          if (at > 0) yield { kind: 'entries', bytes: slab, length: at };
          break;
        }
        lastFrom = at;
        last = entry;
        at = entry.at + contentLength(entry);
      }
      if (!ended && used === slab.length) yield* cutFull();
    }
  }
  if (ended) return;
  if (options.mayEndBare !== true || large !== undefined || at !== used || (at === 0 && !cutBefore))
    throw truncated('before the end of its tar');
  if (at > 0) yield { kind: 'entries', bytes: slab, length: at };
}

function checkZeros(bytes: Uint8Array): void {
  for (let at = 0; at < bytes.length; at += ZEROS.length) {
    const some = bytes.subarray(at, at + ZEROS.length);
    if (Buffer.compare(some, ZEROS.subarray(0, some.length)) !== 0)
      throw corrupt('bytes after the end of its tar');
  }
}

const ZEROS = Buffer.alloc(65_536);
