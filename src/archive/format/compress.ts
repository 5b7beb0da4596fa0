/** Compresses whole members into one buffer that is used again and again. */
import { constants } from 'node:zlib';
import { runInto } from './one-shot.ts';

export type Compress = (tar: Uint8Array, options: object) => Buffer;

/**
 * The answer is valid until the next call.
 * @param create makes the stream, e.g. `createGzip`
 * @param compress e.g. `gzipSync`
 * @param finish the flush flag that says the input is whole
 */
export function createCompressor(
  create: (options: object) => unknown,
  compress: Compress,
  finish: number = constants.Z_FINISH,
): Compress {
  let scratch = Buffer.alloc(0);
  return (tar, options) => {
    const most = tar.length + (tar.length >>> 7) + 1024;
    if (scratch.length < most) scratch = Buffer.allocUnsafeSlow(most);
    const stream = create({ ...options, chunkSize: constants.Z_MIN_CHUNK });
    return runInto(stream, { input: tar, scratch, finish }) ?? compress(tar, { ...options, chunkSize: most });
  };
}
