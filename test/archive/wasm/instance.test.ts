/** zlib is the oracle: it inflates what we deflate, and whatever stream it takes or refuses, so do we. */
import { readFileSync } from 'node:fs';
import { deflateRawSync, inflateRawSync, constants } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createWasm } from '../../../src/archive/wasm/instance.ts';
import { noise } from '../packing.ts';

const codec = createWasm();
const EFFORT = { depth: 12, nice: 30, lazy: false };
const MIB = 1024 * 1024;

/** Literals, runs, near and far repetitions, in any order. */
const content = fc
  .array(
    fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((bytes) => Buffer.from(bytes)),
      fc
        .record({ byte: fc.nat(255), length: fc.nat(3000) })
        .map(({ byte, length }) => Buffer.alloc(length, byte)),
      fc.record({ seed: fc.nat(20), length: fc.nat(40_000) }).map(({ seed, length }) => noise(seed, length)),
      fc
        .record({ text: fc.string(), times: fc.nat(200) })
        .map(({ text, times }) => Buffer.from(text.repeat(times))),
    ),
    { maxLength: 12 },
  )
  .map((pieces) => Buffer.concat(pieces));

describe('inflating', () => {
  it.each([
    ['level 1', { level: 1 }],
    ['level 6', { level: 6 }],
    ['level 9', { level: 9 }],
    ['stored blocks', { level: 0 }],
    ['fixed codes', { strategy: constants.Z_FIXED }],
    ['no matches', { strategy: constants.Z_HUFFMAN_ONLY }],
    ['runs alone', { strategy: constants.Z_RLE }],
    ['a window of 512 bytes', { windowBits: 9 }],
    ['small blocks', { memLevel: 1 }],
  ])('gives back what zlib made with %s', (_, options) => {
    fc.assert(
      fc.property(content, (bytes) => {
        const stream = deflateRawSync(bytes, options);
        expect(codec.inflate(stream, bytes.length)?.equals(bytes)).toBe(true);
      }),
      { numRuns: 60 },
    );
  });

  it('takes no other length than that of the stream', () => {
    const stream = deflateRawSync(Buffer.alloc(1000, 'ab'));
    for (const length of [0, 999, 1001, 70_000]) expect(codec.inflate(stream, length)).toBeUndefined();
  });

  it('takes the stream alone, and all of it', () => {
    const bytes = noise(3, 5000);
    const stream = deflateRawSync(bytes);
    expect(codec.inflate(Buffer.concat([stream, Buffer.alloc(1)]), 5000)).toBeUndefined();
    for (let length = 0; length < stream.length; length += 7)
      expect(codec.inflate(stream.subarray(0, length), 5000)).toBeUndefined();
    expect(codec.inflate(stream, 5000)?.equals(bytes)).toBe(true);
  });

  it('finds good and bad in the same streams as zlib, when bytes of them change', () => {
    const damage = fc.array(fc.record({ at: fc.nat(), byte: fc.nat(255) }), { minLength: 1, maxLength: 3 });
    fc.assert(
      fc.property(content, damage, (bytes, changes) => {
        const stream = deflateRawSync(bytes.subarray(0, 20_000));
        for (const { at, byte } of changes) stream[at % stream.length] = byte;
        const expected = ofZlib(stream);
        if (expected === undefined) {
          expect(codec.inflate(stream, Math.min(bytes.length, 20_000))).toBeUndefined();
        } else {
          expect(codec.inflate(stream, expected.length)?.equals(expected)).toBe(true);
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses what only begins like a stream', () => {
    for (const stream of [
      '',
      '00',
      '0100',
      '0100000000',
      '010000ffff00',
      '07',
      'ffff',
      '04',
      '0401',
      '05e0ff',
    ])
      expect(codec.inflate(Buffer.from(stream, 'hex'), 10)).toBeUndefined();
  });

  it('has room for more whenever more is asked for', () => {
    const bytes = Buffer.alloc(9 * MIB, 'several megabytes ');
    expect(codec.inflate(deflateRawSync(bytes), bytes.length)?.equals(bytes)).toBe(true);
  });
});

describe('deflating', () => {
  const deflate = (bytes: Uint8Array, effort = EFFORT): Buffer =>
    Buffer.from(codec.deflate(bytes, effort, 0));

  it('makes what zlib and we inflate to the same bytes, however hard it tries', () => {
    const efforts = fc.record({
      depth: fc.integer({ min: 1, max: 40 }),
      nice: fc.integer({ min: 4, max: 258 }),
      lazy: fc.boolean(),
    });
    fc.assert(
      fc.property(content, efforts, (bytes, effort) => {
        const stream = deflate(bytes, effort);
        expect(inflateRawSync(stream).equals(bytes)).toBe(true);
        expect(codec.inflate(stream, bytes.length)?.equals(bytes)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it.each([
    ['nothing', Buffer.alloc(0)],
    ['zeros', Buffer.alloc(2 * MIB)],
    ['noise', noise(1, 2 * MIB)],
    ['two symbols', noise(2, MIB).map((byte) => 97 + (byte & 1))],
    ['symbols as rare as codes of 15 bits allow, and rarer', fibonacci()],
    ['matches as far as they reach, and farther', far()],
    ['nothing but matches of four bytes', quartets()],
    ['noise, and then text again', Buffer.concat([noise(4, 70_000), Buffer.from('text, '.repeat(30_000))])],
  ])('brings back %s', (_, bytes) => {
    expect(inflateRawSync(deflate(bytes))?.equals(bytes)).toBe(true);
  });

  it('brings back every length there is at the ends of loops', () => {
    const bytes = Buffer.from('a walk through lengths, and lengths again '.repeat(20));
    for (let length = 0; length < 600; length++) {
      const part = bytes.subarray(0, length);
      expect(inflateRawSync(deflate(part)).equals(part)).toBe(true);
    }
  });

  it('brings back every length there is at the ends of blocks', () => {
    const bytes = Buffer.from('block after block, '.repeat(16_000));
    for (const end of [100_000, 150_000, 200_000, 250_000])
      for (let length = end - 3; length <= end + 3; length++) {
        const part = bytes.subarray(0, length);
        expect(inflateRawSync(deflate(part)).equals(part)).toBe(true);
      }
  });

  it('never makes much more of what does not compress', () => {
    for (const length of [1, 100, 65_535, 65_536, 2 * MIB]) {
      const blocks = Math.ceil(length / 50_000);
      expect(deflate(noise(length, length)).length).toBeLessThanOrEqual(length + 5 * blocks);
    }
  });

  it('is no larger than level 4 of zlib on text', () => {
    const source = Buffer.concat([1, 2, 3].map(() => readFileSync(new URL(import.meta.url))));
    expect(deflate(source).length).toBeLessThanOrEqual(deflateRawSync(source, { level: 4 }).length);
  });

  it('makes the same of the same, whatever came before and wherever it lies', () => {
    const bytes = Buffer.concat([noise(5, 50_000), Buffer.from('text '.repeat(10_000))]);
    const first = deflate(bytes);
    deflate(noise(6, 3 * MIB));
    expect(deflate(bytes).equals(first)).toBe(true);
    expect(createWasm().deflate(bytes, EFFORT, 0).equals(first)).toBe(true);
    const room = codec.room(bytes.length);
    bytes.copy(room);
    expect(deflate(room).equals(first)).toBe(true);
  });

  it('leaves its input where it is, however much memory that takes', () => {
    for (let length = 30_000; length < 100_000; length += 200) {
      const small = createWasm();
      const room = small.room(length);
      small.deflate(room, EFFORT, 16);
      expect(room.length).toBe(length);
    }
  });

  it('leaves room behind the stream', () => {
    const stream = codec.deflate(noise(7, 1000), EFFORT, 8);
    stream.fill(0xff, stream.length - 8);
    expect(inflateRawSync(stream.subarray(0, -8)).equals(noise(7, 1000))).toBe(true);
  });
});

/** What zlib makes of a stream, when that takes the whole of it. */
function ofZlib(stream: Buffer): Buffer | undefined {
  try {
    const { buffer, engine } = inflateRawSync(stream, { info: true }) as unknown as {
      buffer: Buffer;
      engine: { bytesWritten: number };
    };
    return engine.bytesWritten === stream.length ? buffer : undefined;
  } catch {
    return undefined;
  }
}

/** Each symbol as often as the two before it together. */
function fibonacci(): Buffer {
  const pieces: Buffer[] = [];
  for (let symbol = 0, now = 1, next = 1; symbol < 28; symbol++) {
    pieces.push(Buffer.alloc(now, symbol));
    [now, next] = [next, now + next];
  }
  const bytes = Buffer.concat(pieces);
  // Shuffled, or runs would leave nothing to count.
  const order = noise(8, 4 * bytes.length);
  for (let at = bytes.length - 1; at > 0; at--) {
    const other = order.readUInt32LE(4 * at) % (at + 1);
    [bytes[at], bytes[other]] = [bytes[other]!, bytes[at]!];
  }
  return bytes;
}

/** Groups of four bytes that come again and again, never twice in the same company. */
function quartets(): Buffer {
  const order = noise(9, 2 * 100_000);
  const quartet = (n: number): Buffer => Buffer.from([1, n >> 4, 2, n & 15]);
  return Buffer.concat(Array.from({ length: 100_000 }, (_, n) => quartet(order[2 * n]!)));
}

function far(): Buffer {
  const pieces = [32_767, 32_768, 32_769, 65_536].map((gap) =>
    Buffer.concat([Buffer.from('found again'), noise(gap, gap - 11), Buffer.from('found again')]),
  );
  return Buffer.concat(pieces);
}
