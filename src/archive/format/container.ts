/**
 * A container is how records and bodies stand in a file of one compression. Frames are canonical: each record
 * has exactly one encoding, and a reader refuses every other, so that no byte of an archive can change
 * unnoticed.
 */
import type { Compression } from '../types.ts';
import { undecompressible } from '../errors.ts';

export interface Container {
  readonly compression: Compression;

  /** The frame that carries a record with its digest; for index and trailer records all there is. */
  encodeFrame(record: Uint8Array): Buffer;

  /**
   * Reads the frame at the beginning of `bytes`.
   * - a number: at least so many bytes are needed to tell
   * - a frame: `record` is a view of (gzip, zstd) or a copy from (none) `bytes`, not yet decoded
   * - undefined: these bytes do not begin a frame of ours
   */
  decodeFrame(bytes: Buffer): Frame | number | undefined;

  /** Bytes of the frame of the trailer, which ends every archive. */
  readonly trailerFrameLength: number;

  /** Memory for the tar of the next member to compress, which saves a copy. It is valid until then. */
  room(length: number): Buffer;

  /**
   * Compresses the tar bytes of a member. The answer is valid until the next call, of any container of this
   * thread.
   */
  compress(tar: Uint8Array, level: number | undefined): Buffer;

  /**
   * The tar bytes of a member, whose body begins at `bodyAt`, behind its frame; `tarLength` bounds the memory
   * taken. They are valid until the next call of any container of this thread, or as long as the member where
   * nothing is compressed.
   * @throws CacheError ARCHIVE_CORRUPT when the body is damaged or of another length; OUT_OF_MEMORY,
   *   CONFIG_INVALID
   */
  decompress(member: Buffer, bodyAt: number, tarLength: number): Buffer;
}

export interface Frame {
  /** Bytes before the body. */
  frameLength: number;
  record: Buffer;
}

/** @throws CacheError ARCHIVE_CORRUPT when a decompressed body is not as long as its record says */
export function checkLength(tar: Buffer, tarLength: number): Buffer {
  if (tar.length !== tarLength) throw undecompressible(`${tar.length} bytes of tar instead of ${tarLength}`);
  return tar;
}
