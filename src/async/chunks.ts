/**
 * A body in chunks, some of which are not here yet: what another object holds already need not be made, unless
 * somebody wants the bytes.
 */

/** A chunk that another object holds too, as its bytes from `offset` on. */
export interface HeldChunk {
  offset: number;
  length: number;
  /** Makes the bytes. To be called while the body is being iterated. */
  read(): Promise<Uint8Array>;
}

export type Chunk = Uint8Array | HeldChunk;

export function isHeld(chunk: Chunk): chunk is HeldChunk {
  return !(chunk instanceof Uint8Array);
}

/** Yields each chunk with its bytes. Some are made ahead, so that several workers can make them at a time. */
export async function* readAll(
  chunks: AsyncIterable<Chunk>,
): AsyncGenerator<{ chunk: Chunk; bytes: Uint8Array }> {
  const ahead: { chunk: Chunk; bytes: Promise<Uint8Array> }[] = [];
  const first = async (): Promise<{ chunk: Chunk; bytes: Uint8Array }> => {
    const { chunk, bytes } = ahead.shift()!;
    return { chunk, bytes: await bytes };
  };
  for await (const chunk of chunks) {
    if (!isHeld(chunk) && ahead.length === 0) {
      yield { chunk, bytes: chunk };
      continue;
    }
    const bytes = isHeld(chunk) ? chunk.read() : Promise.resolve(chunk);
    // The error is thrown when it is this chunk's turn.
    bytes.catch(() => {});
    ahead.push({ chunk, bytes });
    if (ahead.length > AHEAD) yield await first();
  }
  while (ahead.length > 0) yield await first();
}

/** More than there are workers, mostly; a chunk is a member of an archive, at most some 2 MiB. */
const AHEAD = 4;

export async function* bytesOf(chunks: AsyncIterable<Chunk>): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of readAll(chunks)) yield bytes;
}
