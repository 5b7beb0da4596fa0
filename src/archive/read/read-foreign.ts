/**
 * Unpacking a tar that others wrote: GNU tar, pigz, node-tar, the old library. Decompressing takes one core, so the main thread
 * only cuts the tar at the boundaries of entries, and the workers do the rest.
 */
import { Readable } from 'node:stream';
import * as zlib from 'node:zlib';
import { systemCode } from '../../errors.ts';
import { codecFault, corrupt, truncated } from '../errors.ts';
import type { Container } from '../format/container.ts';
import { decodeRecord } from '../format/record.ts';
import type { Memory } from '../workers/buffer-pool.ts';
import { contentLength, nextEntry, type ReadEntry, type ReadOptions } from './tar-entries.ts';
import type { Compression } from '../types.ts';
import type { Run } from './read-through.ts';
import type { OpenFile } from '../unpack/unpack-member.ts';

/** @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, and what workers and limits have to say */
export async function unpackForeign(
  run: Run,
  container: Container,
): Promise<{ tarBytes: number; trailer: undefined }> {
  const { reader, crew, setup, tally, memory } = run;
  const tail = createTail(container.trailerFrameLength);
  let opened: Promise<OpenFile | undefined> = Promise.resolve(undefined);
  let tarBytes = 0;
  let jobs = 0;

  async function* tar(): AsyncGenerator<Buffer> {
    for await (const chunk of decompressed(tail.follow(reader.chunks()), container.compression)) {
      tarBytes += chunk.length;
      tally.checkRatio(tarBytes, reader.position);
      yield chunk;
    }
  }

  try {
    const mayEndBare = container.compression !== 'none';
    for await (const cut of cutTar(tar(), { ...setup, checksums: true, memory, mayEndBare })) {
      const job = { type: 'unpack', setup, bytes: cut.bytes, length: cut.length } as const;
      if (cut.kind === 'entries') {
        let settle: (open: OpenFile | undefined) => void;
        opened = new Promise((resolve) => (settle = resolve));
        const order = jobs++;
        await crew.submit(
          () => job,
          (reply) => {
            for (const directory of reply.directories) directory.order = order;
            run.add(reply);
            settle(reply.open);
          },
        );
      } else {
        const { offset, length } = cut;
        const file = opened;
        await crew.submit(
          async () => ({ ...job, piece: { target: (await file)!.target, offset, length } }),
          run.add,
        );
      }
    }
  } catch (error) {
    // One flipped byte at the beginning makes our own format look like somebody else's.
    if (tail.isOurs(container)) throw corrupt('a damaged beginning', error);
    throw error;
  }
  if (tail.isOurs(container)) throw corrupt('a damaged beginning');
  await crew.idle();
  return { tarBytes, trailer: undefined };
}

export type Cut =
  /** Whole entries, but the last file may go on in pieces. */
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
    /** Whether the stream may end after an entry, without the blocks that end a tar: something else vouches for its end. */
    mayEndBare?: boolean;
  },
): AsyncGenerator<Cut, void, void> {
  const { memory } = options;
  let slab = memory.get(SLAB);
  let used = 0;
  /** Where the next entry begins; behind `used` while the content of `last` has not come. */
  let at = 0;
  let lastFrom = 0;
  let last: ReadEntry | undefined;
  /** The part of a large file that is in pieces by now. */
  let large: { size: number; offset: number; end: number } | undefined;
  let ended = false;
  /** A stream of nothing is no tar. */
  let cutBefore = false;

  /** Starts a new slab with what of this one comes after `from`, where an entry begins. */
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
      // It does not fit a slab.
      large = { size: last.size, offset: used - last.at, end: at - last.at };
      const length = used;
      yield { kind: 'entries', bytes: renew(length), length };
    } else if (at === 0) {
      // Headers that do not fit; how long they may be is for nextEntry to say.
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

/** The last bytes of a stream. */
function createTail(length: number) {
  let tail = Buffer.alloc(0);
  return {
    async *follow(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of source) {
        tail =
          chunk.length >= length
            ? Buffer.from(chunk.subarray(chunk.length - length))
            : Buffer.concat([tail, chunk]).subarray(-length);
        yield chunk;
      }
    },
    isOurs(container: Container): boolean {
      const frame = container.decodeFrame(tail);
      if (frame === undefined || typeof frame === 'number') return false;
      try {
        return decodeRecord(frame.record).kind === 'trailer';
      } catch {
        return false;
      }
    },
  };
}

/** Large enough that the thread that decompresses is not woken for every page. */
const CHUNK = 1024 * 1024;

export async function* decompressed(
  source: AsyncIterable<Buffer>,
  compression: Compression,
): AsyncGenerator<Buffer> {
  if (compression === 'none') return yield* source;
  const decoder = createDecoder(compression);
  const input = Readable.from(source, { objectMode: false, highWaterMark: CHUNK });
  input.on('error', (error) => decoder.destroy(error));
  try {
    for await (const chunk of input.pipe(decoder)) yield chunk as Buffer;
  } catch (error) {
    const code = systemCode(error);
    if (code === 'Z_BUF_ERROR' || (error as Error).message === 'unexpected end of file')
      throw truncated('within its compressed data', error);
    throw codecFault(error);
  } finally {
    input.destroy();
    decoder.destroy();
  }
}

function createDecoder(compression: 'gzip' | 'zstd'): zlib.Gunzip {
  const { createZstdDecompress } = zlib as unknown as { createZstdDecompress: typeof zlib.createGunzip };
  try {
    return (compression === 'gzip' ? zlib.createGunzip : createZstdDecompress)({ chunkSize: CHUNK });
  } catch (error) {
    throw codecFault(error);
  }
}
