import type { Memory } from '../workers/buffer-pool.ts';

/**
 * Reads a stream of chunks of any size in pieces of exactly the size that is asked for. Bytes are copied
 * once, into memory of their own that can be moved to a worker.
 */

export interface ByteReader {
  /** Bytes taken so far. */
  readonly position: number;
  /** The next bytes, without taking them; fewer than `length` only at the end. Valid until the next call. */
  peek(length: number): Promise<Buffer>;
  /** Takes bytes that were peeked. */
  skip(length: number): void;
  /** Takes exactly `length` bytes, which own their memory. Undefined if the stream ends before. */
  take(length: number): Promise<Buffer<ArrayBuffer> | undefined>;
  /** Everything that is left. */
  chunks(): AsyncGenerator<Buffer>;
}

export function createByteReader(source: AsyncIterator<Uint8Array>, memory: Memory): ByteReader {
  const chunks: Buffer[] = [];
  let buffered = 0;
  let position = 0;

  async function pull(): Promise<boolean> {
    const { done, value } = await source.next();
    if (done === true) return false;
    if (value.length > 0) chunks.push(Buffer.from(value.buffer, value.byteOffset, value.length));
    buffered += value.length;
    return true;
  }

  async function fill(length: number): Promise<boolean> {
    while (buffered < length) if (!(await pull())) return false;
    return true;
  }

  function skip(length: number): void {
    buffered -= length;
    position += length;
    while (length > 0) {
      const chunk = chunks[0]!;
      if (chunk.length > length) {
        chunks[0] = chunk.subarray(length);
        return;
      }
      length -= chunk.length;
      chunks.shift();
    }
  }

  return {
    get position() {
      return position;
    },
    async peek(length) {
      await fill(length);
      if (chunks.length > 1 && chunks[0]!.length < length)
        chunks.splice(0, chunks.length, Buffer.concat(chunks));
      return (chunks[0] ?? EMPTY).subarray(0, length);
    },
    skip,
    async take(length) {
      const taken = memory.get(length);
      let at = 0;
      while (at < length) {
        if (buffered === 0 && !(await fill(1))) return undefined;
        const chunk = chunks[0]!;
        const count = Math.min(chunk.length, length - at);
        chunk.copy(taken, at, 0, count);
        at += count;
        skip(count);
      }
      return taken;
    },
    async *chunks() {
      while (buffered > 0 || (await fill(1))) {
        const chunk = chunks[0]!;
        skip(chunk.length);
        yield chunk;
      }
    },
  };
}

const EMPTY = Buffer.alloc(0);
