import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { createPartPlanner, type PlannedPart } from '../../../../src/store/s3/upload/part-planner.ts';
import { randomSource } from '../../../support/tree.ts';

const SIZES = { least: 100, send: 160, copy: 640 };

interface Chunk {
  bytes: Buffer;
  offset: number | undefined;
}

function planAll(chunks: readonly Chunk[]): PlannedPart[] {
  const planner = createPartPlanner(SIZES);
  return [...chunks.flatMap(({ bytes, offset }) => planner.add(bytes, offset)), ...planner.end()];
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
    (seed) => {
      const { other, chunks } = randomChunks(seed);
      const parts = planAll(chunks);
      const bytes = parts.map((part) =>
        part.type === 'send' ? part.body : other.subarray(part.start, part.end),
      );
      expect(Buffer.concat(bytes).equals(Buffer.concat(chunks.map((chunk) => chunk.bytes)))).toBe(true);
      for (const part of parts.slice(0, -1)) expect(sizeOf(part)).toBeGreaterThanOrEqual(SIZES.least);
      for (const part of parts) expect(sizeOf(part)).toBeLessThan(SIZES.copy + 120);
    },
  );

  it('are copied where nothing is new, in pieces', () => {
    const bytes = randomBytes(50);
    const chunks = Array.from({ length: 40 }, (_, n) => ({ bytes, offset: n * 50 }));
    expect(planAll(chunks)).toEqual([
      { type: 'copy', start: 0, end: 650 },
      { type: 'copy', start: 650, end: 1300 },
      { type: 'copy', start: 1300, end: 1950 },
      { type: 'send', body: bytes },
    ]);
  });

  it('are sent up to the least length around what is new, and not further', () => {
    const old = randomBytes(50);
    const chunks: Chunk[] = Array.from({ length: 20 }, (_, n) => ({ bytes: old, offset: n * 50 }));
    chunks[0] = { bytes: randomBytes(10), offset: undefined };
    chunks[8] = { bytes: randomBytes(30), offset: undefined };
    const parts = planAll(chunks);
    expect(parts.map(({ type }) => type)).toEqual(['send', 'copy', 'send', 'copy']);
    expect(parts.map(sizeOf)).toEqual([100, 260, 100, 480]);
  });

  it('are none of nothing', () => {
    expect(planAll([])).toEqual([]);
  });
});
