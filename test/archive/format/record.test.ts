import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodeRecord,
  digestOf,
  encodeRecord,
  withDigest,
  TRAILER_LENGTH,
  type ArchiveRecord,
  type WithoutDigest,
} from '../../../src/archive/format/record.ts';
import { COMPRESSIONS } from '../unpacking.ts';
import { containerFor } from '../../../src/archive/format/containers.ts';

const DIGEST = Buffer.alloc(32, 7);
const PIECE = {
  path: Buffer.from('a/\xff', 'latin1'),
  offset: 2 ** 40,
  size: 2 ** 41,
  mode: 0o644,
  mtimeUs: -1.5e6,
};
const LENGTHS = { storedLength: 5, tarLength: 1024 };

const RECORDS: WithoutDigest<ArchiveRecord>[] = [
  { kind: 'data', ...LENGTHS },
  { kind: 'continuation', ...LENGTHS, piece: PIECE },
  { kind: 'open', ...LENGTHS, pieceLength: 4096, piece: PIECE },
  {
    kind: 'index',
    first: 3,
    members: [
      { frameLength: 58, storedLength: 9, tarLength: 512, digest: DIGEST, firstPath: Buffer.from('x') },
      { frameLength: 0, storedLength: 4, tarLength: 4, digest: DIGEST, firstPath: Buffer.alloc(0) },
    ],
  },
  {
    kind: 'trailer',
    members: 2,
    tarBytes: 2 ** 40,
    entries: 9,
    indexOffset: 2 ** 33,
    rootDigest: DIGEST,
    keyDigest: DIGEST,
    installMs: 1500,
    recipe: 'npm',
    runtime: 'linux-x64-node115',
    signature: undefined,
  },
];

const BODY = Buffer.from('tada!');
const hasBody = (record: WithoutDigest<ArchiveRecord>): boolean =>
  record.kind !== 'index' && record.kind !== 'trailer';

describe.each(RECORDS)('a record of kind $kind', (record) => {
  const bytes = withDigest(encodeRecord(record), hasBody(record) ? BODY : undefined);

  it('says after decoding what was encoded', () => {
    const { digest, ...decoded } = decodeRecord(bytes);
    expect(decoded).toEqual(record);
    expect(digest).toEqual(digestOf(bytes, hasBody(record) ? BODY : undefined));
  });

  it('is refused, or its digest no longer fits, when any bit of it changes', () => {
    for (let bit = 0; bit < 8 * bytes.length; bit++) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      expect(accepted(changed, hasBody(record))).toBe(false);
    }
  });

  it('is refused when it is cut short or too long', () => {
    for (let length = 0; length < bytes.length; length++)
      expect(() => decodeRecord(bytes.subarray(0, length))).toThrow(
        expect.objectContaining({ code: 'ARCHIVE_CORRUPT' }),
      );
    expect(() => decodeRecord(Buffer.concat([bytes, Buffer.from([0])]))).toThrow(/malformed/);
  });

  it.each(COMPRESSIONS)('stands in one frame only of %s', (compression) => {
    const container = containerFor(compression);
    const frame = container.encodeFrame(bytes);
    const stream = Buffer.concat([frame, BODY]);
    expect(container.decodeFrame(stream)).toEqual({ frameLength: frame.length, record: bytes });
    if (record.kind === 'trailer') expect(frame).toHaveLength(container.trailerFrameLength);

    for (let length = 0; length < frame.length; length++) {
      const needed = container.decodeFrame(stream.subarray(0, length));
      expect(needed).toBeGreaterThan(length);
      expect(needed).toBeLessThanOrEqual(frame.length);
    }
    for (let bit = 0; bit < 8 * frame.length; bit++) {
      const changed = Buffer.from(stream);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      const decoded = container.decodeFrame(changed);
      // A length that lies asks for bytes that are not there; the rest shows in the record.
      if (typeof decoded !== 'object') continue;
      expect(accepted(decoded.record, hasBody(record))).toBe(false);
    }
  });
});

it('has a trailer of fixed size, signed or not', () => {
  const trailer = RECORDS[4] as WithoutDigest<ArchiveRecord> & { kind: 'trailer' };
  const signature = Buffer.alloc(64, 9);
  const signed = withDigest(encodeRecord({ ...trailer, signature }));
  expect(encodeRecord(trailer)).toHaveLength(TRAILER_LENGTH);
  expect(signed).toHaveLength(TRAILER_LENGTH);
  expect(decodeRecord(signed)).toMatchObject({ signature });
});

it('never throws anything but ARCHIVE_CORRUPT on random bytes', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 6 }), fc.uint8Array({ maxLength: 500 }), (kind, rest) => {
      const bytes = Buffer.concat([Buffer.from([1, kind]), rest]);
      try {
        decodeRecord(bytes);
      } catch (error) {
        expect(error).toMatchObject({ code: 'ARCHIVE_CORRUPT' });
      }
    }),
    { seed: 1, numRuns: 500 },
  );
});

function accepted(record: Buffer, body: boolean): boolean {
  try {
    return digestOf(record, body ? BODY : undefined).equals(decodeRecord(record).digest);
  } catch {
    return false;
  }
}
