import fc from 'fast-check';
import { Header, Pax } from 'tar';
import { describe, expect, it } from 'vitest';
import {
  decodeHeader,
  decodePax,
  decodePaxTime,
  encodeHeader,
  headerLength,
  type TarEntry,
} from '../../../src/archive/format/tar-header.ts';

const FILE: TarEntry = {
  type: '0',
  path: 'node_modules/a/index.js',
  linkPath: '',
  mode: 0o644,
  size: 1234,
  mtimeUs: 1_700_000_000_123_456,
};

describe('a header', () => {
  it('is one block when everything fits, and node-tar reads the same in it', () => {
    const bytes = encoded(FILE);
    expect(bytes).toHaveLength(512);
    expect(new Header(bytes)).toMatchObject({
      path: FILE.path,
      mode: 0o644,
      size: 1234,
      uid: 0,
      gid: 0,
      uname: '',
      gname: '',
      mtime: new Date(1_700_000_000_000),
      cksumValid: true,
    });
    expect(decodeHeader(bytes, 0, true)).toEqual(FILE);
  });

  it('splits a path of up to 256 bytes at a slash', () => {
    const path = `${'p'.repeat(155)}/${'n'.repeat(100)}`;
    const bytes = encoded({ ...FILE, path });
    expect(bytes).toHaveLength(512);
    expect(new Header(bytes).path).toBe(path);
    expect(decodeHeader(bytes, 0, true).path).toBe(path);
  });

  it.each([
    ['a name beyond 100 bytes', { path: `a/${'n'.repeat(101)}` }],
    ['a directory whose name cannot be cut', { type: '5', path: `${'d'.repeat(110)}/`, size: 0 }],
    ['letters beyond ASCII', { path: Buffer.from('ünï/日本').toString('latin1') }],
    ['bytes that are not UTF-8', { path: 'caf\xe9' }],
    ['a long link', { type: '2', linkPath: '../'.repeat(60), size: 0 }],
    ['a link that is not ASCII', { type: '1', linkPath: 'caf\xe9', size: 0 }],
    ['more than 8 GiB', { size: 2 ** 33 }],
    ['9 TB', { size: 9e12 }],
    ['a time before 1970', { mtimeUs: -1 }],
    ['a time long before 1970', { mtimeUs: -1_500_000 }],
    ['a time beyond 11 octal digits of seconds', { mtimeUs: 2 ** 33 * 1e6 + 1 }],
  ] as [string, Partial<TarEntry>][])('has a pax header for %s', (_, change) => {
    const entry = { ...FILE, ...change };
    const bytes = encoded(entry);
    expect(bytes.length).toBe(1536);
    expect(decoded(bytes)).toEqual(entry);
  });

  it('keeps 8 GiB less one byte in its own field', () => {
    const bytes = encoded({ ...FILE, size: 2 ** 33 - 1 });
    expect(bytes).toHaveLength(512);
    expect(new Header(bytes).size).toBe(2 ** 33 - 1);
  });

  it('says what it was told, whatever that is', () => {
    fc.assert(
      fc.property(entries, (entry) => {
        expect(decoded(encoded(entry))).toEqual(entry);
      }),
      { seed: 2, numRuns: 500 },
    );
  });

  it('is refused when its checksum does not fit', () => {
    const bytes = encoded(FILE);
    bytes[3]! ^= 1;
    expect(() => decodeHeader(bytes, 0, true)).toThrow(RangeError);
    expect(() => decodeHeader(bytes, 0, false)).not.toThrow();
  });
});

describe('a pax header', () => {
  it('counts its own length in every record', () => {
    for (let length = 1; length < 1200; length++) {
      const path = 'ü'.repeat(length);
      const bytes = encoded({ ...FILE, path: Buffer.from(path).toString('latin1') });
      const size = decodeHeader(bytes, 0, true).size;
      expect(Pax.parse(bytes.toString('utf8', 512, 512 + size)).path).toBe(path);
    }
  });

  it.each(['', '5 a=b\n', '6 a=b', 'x a=b\n', '0 a=b\n', '06 a=b\n', '7 a=bb\nx', '6 ab=\n\n6'])(
    'is refused when malformed: %j',
    (text) => {
      const parse = (): Map<string, string> => decodePax(Buffer.from(text));
      if (text === '') expect(parse().size).toBe(0);
      else expect(parse).toThrow(RangeError);
    },
  );

  it.each([
    ['1700000000', 1_700_000_000_000_000],
    ['1700000000.123456789', 1_700_000_000_123_456],
    ['1.5', 1_500_000],
    ['-1.5', -1_500_000],
    ['-1.0000001', -1_000_001],
    ['-0.5', -500_000],
  ])('rounds the time %s down to microseconds', (text, us) => {
    expect(decodePaxTime(text)).toBe(us);
  });

  it.each(['', 'abc', '1e3', '1.2.3', '--1', '9'.repeat(20)])('refuses the time %j', (text) => {
    expect(() => decodePaxTime(text)).toThrow(RangeError);
  });
});

const binary = (maxLength: number): fc.Arbitrary<string> =>
  fc
    .oneof(fc.string({ minLength: 1, maxLength }), fc.string({ unit: 'binary', minLength: 1, maxLength }))
    .map((text) => Buffer.from(text).toString('latin1').replaceAll('\0', '/'));

const entries: fc.Arbitrary<TarEntry> = fc.record({
  type: fc.constantFrom('0', '1', '2', '5'),
  path: binary(300),
  linkPath: fc.oneof(fc.constant(''), binary(200)),
  mode: fc.integer({ min: 0, max: 0o777 }),
  size: fc.oneof(fc.constant(0), fc.maxSafeNat()),
  mtimeUs: fc.oneof(fc.maxSafeInteger(), fc.integer({ min: 1e15, max: 2e15 })),
});

function encoded(entry: TarEntry): Buffer {
  // Not zeros: every byte of a header must be written.
  const bytes = Buffer.alloc(headerLength(entry), 0xaa);
  expect(encodeHeader(bytes, 0, entry)).toBe(bytes.length);
  return bytes;
}

function decoded(bytes: Buffer): TarEntry {
  const first = decodeHeader(bytes, 0, true);
  if (first.type !== 'x') return first as TarEntry;
  const pax = decodePax(bytes.subarray(512, 512 + first.size));
  const header = decodeHeader(bytes, bytes.length - 512, true) as TarEntry;
  const [size, mtime] = [pax.get('size'), pax.get('mtime')];
  return {
    ...header,
    path: pax.get('path') ?? header.path,
    linkPath: pax.get('linkpath') ?? header.linkPath,
    size: size === undefined ? header.size : Number(size),
    mtimeUs: mtime === undefined ? header.mtimeUs : decodePaxTime(mtime),
  };
}
