/**
 * Reads a tar that another program wrote: GNU tar, pigz, node-tar, the old library. Decompressing keeps one
 * core busy, so the main thread only cuts the tar between entries, and the workers do the rest.
 */
import { corrupt } from '../errors.ts';
import type { Container } from '../format/container.ts';
import { decodeRecord } from '../format/record.ts';
import type { ReadContext } from './read-context.ts';
import { cutTar } from './cut-tar.ts';
import { decompressed } from './decompressed.ts';
import type { OpenFile } from '../workers/protocol.ts';

/** @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, and the errors of workers and limits */
export async function readForeign(
  run: ReadContext,
  container: Container,
): Promise<{ tarBytes: number; trailer: undefined; members: [] }> {
  const { reader, crew, setup, tally, memory } = run;
  const tail = createTail(container.trailerFrameLength);
  let opened: Promise<OpenFile | undefined> = Promise.resolve(undefined);
  let tarBytes = 0;
  let jobs = 0;

  async function* tar(): AsyncGenerator<Buffer> {
    for await (const chunk of decompressed(tail.follow(reader.chunks()), container.compression)) {
      tarBytes += chunk.length;
      tally.checkRatio(tarBytes, reader.position);
      yield chunk;
    }
  }

  try {
    const mayEndBare = container.compression !== 'none';
    for await (const cut of cutTar(tar(), { ...setup, checksums: true, memory, mayEndBare })) {
      const job = { type: 'unpack', setup, bytes: cut.bytes, length: cut.length } as const;
      if (cut.kind === 'entries') {
        let settle: (open: OpenFile | undefined) => void;
        opened = new Promise((resolve) => (settle = resolve));
        const order = jobs++;
        await crew.submit(
          () => job,
          (reply) => {
            for (const directory of reply.directories) directory.order = order;
            run.add(reply);
            settle(reply.open);
          },
        );
      } else {
        const { offset, length } = cut;
        const file = opened;
        await crew.submit(
          async () => ({ ...job, piece: { target: (await file)!.target, offset, length } }),
          run.add,
        );
      }
    }
  } catch (error) {
    // One changed byte at the beginning makes an archive of ours look like a foreign one.
    if (tail.isOurs(container)) throw corrupt('a damaged beginning', error);
    throw error;
  }
  if (tail.isOurs(container)) throw corrupt('a damaged beginning');
  await crew.idle();
  return { tarBytes, trailer: undefined, members: [] };
}

/** Keeps the last bytes of a stream. */
function createTail(length: number) {
  let tail = Buffer.alloc(0);
  return {
    async *follow(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
      for await (const chunk of source) {
        tail =
          chunk.length >= length
            ? Buffer.from(chunk.subarray(chunk.length - length))
            : Buffer.concat([tail, chunk]).subarray(-length);
        yield chunk;
      }
    },
    isOurs(container: Container): boolean {
      const frame = container.decodeFrame(tail);
      if (frame === undefined || typeof frame === 'number') return false;
      try {
        return decodeRecord(frame.record).kind === 'trailer';
      } catch {
        return false;
      }
    },
  };
}
