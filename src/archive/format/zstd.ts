/**
 * `.tar.zst`: every member is a skippable frame (RFC 8878, 3.1.2) with the record, then a zstd frame with the
 * body. Index and trailer are skippable frames alone. Node has zstd since 22.15 and 23.8. Bodies have no
 * checksum of zstd's own: the record's digest covers them, and to check both makes decompressing a tenth
 * slower.
 *
 *     50 2a 4d 18 · u32 length · "SC" · record · body
 */
import * as zlib from 'node:zlib';
import { CacheError } from '../../errors.ts';
import { codecError } from '../errors.ts';
import { MAX_RECORD_LENGTH, TRAILER_LENGTH } from './record.ts';
import { createScratch } from './scratch.ts';
import { type Container, type Frame, checkLength } from './container.ts';
import { createCompressor, createDecompressor } from './zstd-one-shot.ts';

const MAGIC = Buffer.from('502a4d18', 'hex');
const NAME = Buffer.from('SC');
const PRELUDE = MAGIC.length + 4 + NAME.length;

/** Measured, see docs/archive-format.md. */
const DEFAULT_LEVEL = 3;

/** What the types of our oldest Node do not have. */
interface Zstd {
  createZstdCompress?(options: object): unknown;
  zstdCompressSync?(tar: Uint8Array, options: object): Buffer;
  createZstdDecompress?(options: object): unknown;
  zstdDecompressSync?(body: Uint8Array, options: object): Buffer;
  constants: Record<string, number>;
}

/** @throws CacheError CONFIG_INVALID when this Node has no zstd. */
export function zstdContainer(): Container {
  const { createZstdCompress, zstdCompressSync, createZstdDecompress, zstdDecompressSync, constants } =
    zlib as unknown as Zstd;
  if (
    createZstdCompress === undefined ||
    zstdCompressSync === undefined ||
    createZstdDecompress === undefined ||
    zstdDecompressSync === undefined
  )
    throw new CacheError('CONFIG_INVALID', `Node ${process.versions.node} has no zstd.`, {
      hint: 'Use Node 22.15 or later, or set CACHE_COMPRESSION=true for gzip.',
    });
  const { ZSTD_c_compressionLevel, ZSTD_e_end } = constants as Record<string, number> & {
    ZSTD_c_compressionLevel: number;
    ZSTD_e_end: number;
  };
  const zstd = createCompressor(createZstdCompress, zstdCompressSync, ZSTD_e_end);
  const unzstd = createDecompressor(createZstdDecompress, zstdDecompressSync, ZSTD_e_end);

  return {
    compression: 'zstd',
    trailerFrameLength: PRELUDE + TRAILER_LENGTH,
    encodeFrame,
    decodeFrame,
    room: createScratch(),
    compress(tar, level = DEFAULT_LEVEL) {
      return zstd(tar, {
        pledgedSrcSize: tar.length,
        params: { [ZSTD_c_compressionLevel]: level },
      });
    },
    decompress(member, bodyAt, tarLength) {
      try {
        return checkLength(unzstd(member.subarray(bodyAt), tarLength), tarLength);
      } catch (error) {
        throw codecError(error);
      }
    },
  };
}

function encodeFrame(record: Uint8Array): Buffer {
  const frame = Buffer.alloc(PRELUDE + record.length);
  MAGIC.copy(frame);
  frame.writeUInt32LE(NAME.length + record.length, MAGIC.length);
  NAME.copy(frame, MAGIC.length + 4);
  frame.set(record, PRELUDE);
  return frame;
}

function decodeFrame(bytes: Buffer): Frame | number | undefined {
  const seen = Math.min(bytes.length, MAGIC.length);
  if (MAGIC.compare(bytes, 0, seen, 0, seen) !== 0) return undefined;
  if (bytes.length < PRELUDE) return PRELUDE;
  const length = bytes.readUInt32LE(MAGIC.length) - NAME.length;
  if (length < 0 || length > MAX_RECORD_LENGTH) return undefined;
  if (NAME.compare(bytes, MAGIC.length + 4, PRELUDE) !== 0) return undefined;
  const frameLength = PRELUDE + length;
  if (bytes.length < frameLength) return frameLength;
  return { frameLength, record: bytes.subarray(PRELUDE, frameLength) };
}
