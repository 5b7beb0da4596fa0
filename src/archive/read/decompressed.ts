/** Decompresses a stream that another program wrote. */
import type { Compression } from '../types.ts';
import { Readable } from 'node:stream';
import { systemCode } from '../../errors.ts';
import { truncated, codecError } from '../errors.ts';
import * as zlib from 'node:zlib';

/** Bytes. Large enough that the decompressing thread is not woken for every page. */
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
    throw codecError(error);
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
    throw codecError(error);
  }
}
