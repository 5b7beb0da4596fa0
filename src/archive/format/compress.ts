/** Compresses whole members into one buffer that is used again and again. */
import { constants } from 'node:zlib';
import { runInto } from './zstd-one-shot.ts';
import { createScratch } from './scratch.ts';

export type Compress = (tar: Uint8Array, options: object) => Buffer;

/**
 * The answer is valid until the next call.
 * @param create makes the stream, e.g. `createZstdCompress`
 * @param compress e.g. `zstdCompressSync`
 * @param finish the flush flag that says the input is whole
 */
export function createCompressor(
  create: (options: object) => unknown,
  compress: Compress,
  finish: number,
): Compress {
  const scratch = createScratch();
  return (tar, options) => {
    const most = tar.length + (tar.length >>> 7) + 1024;
    const stream = create({ ...options, chunkSize: constants.Z_MIN_CHUNK });
    return (
      runInto(stream, { input: tar, scratch: scratch(most), finish }) ??
      compress(tar, { ...options, chunkSize: most })
    );
  };
}
