/**
 * Runs a whole input through a zlib stream into memory that is used again. The `…Sync` functions take fresh
 * memory each time: the kernel has to clear it, and it stays until the garbage collector comes by.
 *
 * It leans on fields of Node's zlib streams that are not documented, but the same from Node 20 to 24 (npm's
 * own tar leans on them too).
 */
import { type Gunzip, constants } from 'node:zlib';
import { createScratch } from './scratch.ts';
import { wasm } from '../wasm/instance.ts';

interface Internals {
  _chunkSize?: number;
  _outBuffer?: Buffer;
  _processChunk?(input: Uint8Array, flush: number): Buffer;
}

/**
 * @param stream made for this call, e.g. by `createGzip`; closed at the end
 * @param scratch large enough for the output and one byte more: zlib asks for another buffer when one is full
 * @param finish the flush flag that says the input is whole
 * @returns a part of `scratch`; undefined when this Node's streams are not as they were
 */
export function runInto(
  stream: unknown,
  { input, scratch, finish }: { input: Uint8Array; scratch: Buffer; finish: number },
): Buffer | undefined {
  const inner = stream as Gunzip & Internals;
  const known =
    inner._outBuffer instanceof Buffer && inner._chunkSize !== undefined && '_processChunk' in inner;
  if (!known) {
    inner.close();
    return undefined;
  }
  inner._outBuffer = scratch;
  inner._chunkSize = scratch.length;
  return inner._processChunk!(input, finish);
}

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
