/**
 * Runs a whole input through a zlib stream into memory that is used again. The `…Sync` functions take fresh memory each time: the
 * kernel has to clear it, and it stays until the garbage collector comes by.
 *
 * It leans on fields of Node's zlib streams that are not documented, but the same from Node 20 to 24 (npm's own tar leans on them too).
 */
import type { Gunzip } from 'node:zlib';

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
