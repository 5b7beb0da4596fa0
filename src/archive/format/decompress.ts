/**
 * Decompresses whole bodies into one buffer that is used again and again, as fresh memory would be 10 % of all CPU time that
 * unpacking takes; into that of WebAssembly, which reads the headers in it.
 */
import { constants } from 'node:zlib';
import { undecompressible } from '../errors.ts';
import { wasm } from '../wasm/instance.ts';
import { runInto } from './zstd-one-shot.ts';

export type Decompress = (body: Uint8Array, length: number) => Buffer;

/**
 * The answer is valid until the next call. It takes a body of at most `length` bytes once decompressed.
 * @param create makes the stream, e.g. `createZstdDecompress`
 * @param decompress e.g. `zstdDecompressSync`, which throws the same
 * @param finish the flush flag that says the input is whole
 */
export function createDecompressor(
  create: (options: object) => unknown,
  decompress: (body: Uint8Array, options: object) => Buffer,
  finish: number,
): Decompress {
  return (body, length) => {
    const maxOutputLength = Math.max(1, length);
    const stream = create({ chunkSize: constants.Z_MIN_CHUNK, maxOutputLength });
    return (
      runInto(stream, { input: body, scratch: wasm().output(length + 1), finish }) ??
      decompress(body, { chunkSize: Math.max(constants.Z_MIN_CHUNK, length), maxOutputLength })
    );
  };
}

/** @throws CacheError ARCHIVE_CORRUPT when a decompressed body is not as long as its record says */
export function checkLength(tar: Buffer, tarLength: number): Buffer {
  if (tar.length !== tarLength) throw undecompressible(`${tar.length} bytes of tar instead of ${tarLength}`);
  return tar;
}
