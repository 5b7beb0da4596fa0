import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createPartPlanner, type PlannedPart } from '../../../../src/store/s3/upload/part-planner.ts';
import { randomSource } from '../../../support/tree.ts';

const SIZES = { least: 100, send: 160, copy: 640 };

interface Chunk {
  bytes: Buffer;
  offset: number | undefined;
}

/** @returns the parts, and how many bytes of the chunks that another object holds were read */
async function planAll(chunks: readonly Chunk[]): Promise<{ parts: PlannedPart[]; read: number }> {
  const planner = createPartPlanner(SIZES);
  const parts: PlannedPart[] = [];
  let read = 0;
  for (const { bytes, offset } of chunks) {
    const { length } = bytes;
    const made = async (): Promise<Buffer> => {
      read += length;
      return bytes;
    };
    parts.push(...(await planner.add(offset === undefined ? bytes : { offset, length, read: made })));
  }
  return { parts: [...parts, ...(await planner.end())], read };
}

const sizeOf = (part: PlannedPart): number =>
  part.type === 'send' ? part.body.length : part.end - part.start;

/** Chunks of another object, new ones and old ones in any order. */
function randomChunks(seed: number): { other: Buffer; chunks: Chunk[] } {
  const random = randomSource(seed);
  const other = randomBytes(4000);
  const chunks: Chunk[] = [];
  let at = 0;
  for (let n = 1 + random.below(40); n > 0; n--) {
    const length = 1 + random.below(120);
    if (random.below(8) === 0) at = random.below(other.length - 200);
    const isOld = random.below(4) > 0 && at + length <= other.length;
    chunks.push(
      isOld
        ? { bytes: other.subarray(at, at + length), offset: at }
        : { bytes: randomBytes(length), offset: undefined },
    );
    if (isOld || random.below(2) === 0) at += length;
  }
  return { other, chunks };
}

describe('the parts of a body', () => {
  it.each(Array.from({ length: 200 }, (_, seed) => seed))(
    'give its bytes, and none but the last is too short (seed %i)',
    async (seed) => {
      const { other, chunks } = randomChunks(seed);
      const { parts } = await planAll(chunks);
      const bytes = parts.map((part) =>
        part.type === 'send' ? part.body : other.subarray(part.start, part.end),
      );
      expect(Buffer.concat(bytes).equals(Buffer.concat(chunks.map((chunk) => chunk.bytes)))).toBe(true);
      for (const part of parts.slice(0, -1)) expect(sizeOf(part)).toBeGreaterThanOrEqual(SIZES.least);
      for (const part of parts) expect(sizeOf(part)).toBeLessThan(SIZES.copy + 120);
    },
  );

  it('are copied where nothing is new, in pieces', async () => {
    const bytes = randomBytes(50);
    const chunks = Array.from({ length: 40 }, (_, n) => ({ bytes, offset: n * 50 }));
    const { parts, read } = await planAll(chunks);
    expect(parts).toEqual([
      { type: 'copy', start: 0, end: 650 },
      { type: 'copy', start: 650, end: 1300 },
      { type: 'copy', start: 1300, end: 1950 },
      { type: 'send', body: bytes },
    ]);
    // The last one alone: what is copied is not made.
    expect(read).toBe(50);
  });

  it('are sent up to the least length around what is new, and not further', async () => {
    const old = randomBytes(50);
    const chunks: Chunk[] = Array.from({ length: 20 }, (_, n) => ({ bytes: old, offset: n * 50 }));
    chunks[0] = { bytes: randomBytes(10), offset: undefined };
    chunks[8] = { bytes: randomBytes(30), offset: undefined };
    const { parts, read } = await planAll(chunks);
    expect(parts.map(({ type }) => type)).toEqual(['send', 'copy', 'send', 'copy']);
    expect(parts.map(sizeOf)).toEqual([100, 260, 100, 480]);
    // Two chunks for the 90 bytes that the first part lacks, two for the 70 of the other.
    expect(read).toBe(200);
  });

  it('are none of nothing', async () => {
    expect(await planAll([])).toEqual({ parts: [], read: 0 });
  });
});
