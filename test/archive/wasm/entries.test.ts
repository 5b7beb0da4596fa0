/** tar-entries.ts is the oracle: it reads any header, and of an ordinary one it has to say the same. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  BLOCK,
  encodeHeader,
  headerLength,
  paddedLength,
  type TarEntry,
} from '../../../src/archive/format/tar-header.ts';
import { nextEntry } from '../../../src/archive/read/tar-entries.ts';
import { createWasm } from '../../../src/archive/wasm/instance.ts';

const wasm = createWasm();
const LIMITS = { maxPathBytes: 4096, maxBytes: 1e12 };

const segment = fc.oneof(
  { weight: 9, arbitrary: fc.constantFrom('a', 'b.js', 'lib', 'n'.repeat(60)) },
  fc.constantFrom('.', '..', '', 'é'),
);
const path = fc.array(segment, { minLength: 1, maxLength: 5 }).map((segments) => segments.join('/'));
const file = fc
  .record({ path, mode: fc.nat(0o7777), size: fc.nat(1500), mtimeUs: fc.integer({ min: -1, max: 2e15 }) })
  .map((entry): TarEntry => ({ ...entry, type: '0', linkPath: '' }));
const other = fc
  .record({ path, type: fc.constantFrom('1' as const, '2' as const, '5' as const), mtimeUs: fc.nat(2e9) })
  .map((entry): TarEntry => ({ ...entry, linkPath: entry.type === '5' ? '' : 'a', mode: 0o755, size: 0 }));

/** A byte of some header set to something else, at a place where it means something. */
const change = fc.record({
  header: fc.nat(8),
  at: fc.oneof(
    fc.nat(511),
    fc.constantFrom(0, 99, 100, 107, 124, 135, 136, 147, 156, 157, 257, 345, 499, 500),
  ),
  byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 0x20, 0x2f, 0x30, 0x37, 0x38, 0x80)),
});

describe('ordinary entries', () => {
  it('are read as any other reader reads them, damaged or not', () => {
    let seen = 0;
    const property = fc.property(
      fc.array(fc.oneof({ weight: 4, arbitrary: file }, other), { maxLength: 9 }),
      fc.array(change, { maxLength: 2 }),
      fc.nat(3),
      (entries, changes, missing) => {
        const { tar, headers } = tarOf(entries);
        for (const { header, at, byte } of changes) {
          const place = (headers[header] ?? 0) + at;
          if (place < tar.length) tar[place] = byte;
        }
        const read = readAll(tar.subarray(0, tar.length - missing * 300));
        seen += read.length;
      },
    );
    fc.assert(property, { numRuns: 2000 });
    expect(seen).toBeGreaterThan(2000);
  });

  it('are all that a usual tree has', () => {
    const files = ['a/b.js', 'a/c.js', 'a/d/e.js', `${'long/'.repeat(30)}f.js`, `${'long/'.repeat(30)}g.js`];
    const { tar } = tarOf([
      entryOf({ path: 'a/', type: '5', mtimeUs: 1e15 }),
      ...files.map((name) => entryOf({ path: name, size: 700, mode: 0o755, mtimeUs: 1e15 + 123_456 })),
    ]);
    expect(readAll(tar)).toStrictEqual([
      { path: 'a/', beside: false },
      { path: 'a/b.js', beside: false },
      { path: 'a/c.js', beside: true },
      { path: 'a/d/e.js', beside: false },
      { path: `${'long/'.repeat(30)}f.js`, beside: false },
      { path: `${'long/'.repeat(30)}g.js`, beside: true },
    ]);
  });

  it('are read in several tables when they are many', () => {
    const { tar } = tarOf(Array.from({ length: 2000 }, (_, n) => entryOf({ path: `a/${n}` })));
    expect(readAll(tar)).toHaveLength(2000);
  });

  it.each([
    ['a name', { maxPathBytes: 9, maxBytes: 1e12 }, 'a/bcdefgh', 'a/bcdefghi'],
    [
      'a name in two fields',
      { maxPathBytes: 102, maxBytes: 1e12 },
      `aa/${'b'.repeat(99)}`,
      `aaa/${'b'.repeat(99)}`,
    ],
  ])('are none above the limit for %s', (_, limits, within, above) => {
    const count = (name: string): number => {
      const { tar } = tarOf([entryOf({ path: name })]);
      return wasm.readEntries(tar, 0, limits).count;
    };
    expect([count(within), count(above)]).toStrictEqual([1, 0]);
  });

  it.each([0, 512, 2 ** 32 - 512, 2 ** 32, 2 ** 32 + 512, 2 ** 33])(
    'are none %i bytes past the end',
    (past) => {
      const { tar } = tarOf([entryOf({ path: 'a' }), entryOf({ path: 'b' })]);
      expect(wasm.readEntries(tar, tar.length + past, LIMITS).count).toBe(0);
      expect(wasm.readEntries(tar, tar.length + past - 512, LIMITS).count).toBe(past === 0 ? 1 : 0);
    },
  );

  it('are none above the limit for a file', () => {
    const { tar } = tarOf([entryOf({ path: 'a', size: 701 })]);
    const count = (maxBytes: number): number => wasm.readEntries(tar, 0, { ...LIMITS, maxBytes }).count;
    expect([count(701), count(700)]).toStrictEqual([1, 0]);
  });
});

/** Reads everything that is ordinary, and compares each with what `nextEntry` says, which also passes over the others. */
function readAll(tar: Buffer): { path: string; beside: boolean }[] {
  const read: { path: string; beside: boolean }[] = [];
  let at = 0;
  while (at < tar.length) {
    const table = wasm.readEntries(tar, at, LIMITS);
    if (table.count === 0) {
      const passed = passOver(tar, at);
      if (passed === undefined) return read;
      at = passed;
    }
    let directory: string | undefined;
    for (let n = 0; n < table.count; n++) {
      const content = table.file(n);
      const name = table.path(n);
      const expected = nextEntry(tar, at, tar.length, { ...LIMITS, checksums: false });
      expect(expected).toStrictEqual({
        kind: table.isDirectory(n) ? 'directory' : 'file',
        path: name,
        linkPath: '',
        ...content,
      });
      if (!table.isDirectory(n)) {
        const cut = name.lastIndexOf('/') + 1;
        expect(table.base(n)).toBe(name.slice(cut));
        expect(['', '.', '..']).not.toContain(table.base(n));
        if (table.isBeside(n)) expect(name.slice(0, cut)).toBe(directory);
        directory = name.slice(0, cut);
      }
      at = content.at + paddedLength(content.size);
      expect(at).toBeLessThanOrEqual(tar.length);
      read.push({ path: name, beside: table.isBeside(n) });
    }
  }
  return read;
}

/** Where the entry ends that begins at `at`; undefined when nobody could read on. */
function passOver(tar: Buffer, at: number): number | undefined {
  try {
    const entry = nextEntry(tar, at, tar.length, { ...LIMITS, checksums: false });
    return typeof entry === 'object' ? entry.at + paddedLength(entry.size) : undefined;
  } catch {
    return undefined;
  }
}

function entryOf(entry: Partial<TarEntry> & { path: string }): TarEntry {
  return { type: '0', linkPath: '', mode: 0o644, size: 0, mtimeUs: 0, ...entry };
}

/** A tar in the memory of WebAssembly, and where its headers begin. */
function tarOf(entries: readonly TarEntry[]): { tar: Buffer; headers: number[] } {
  const sizes = entries.map((entry) => headerLength(entry) + paddedLength(entry.size));
  const tar = wasm.output(sizes.reduce((sum, size) => sum + size, 0)).fill(7);
  const headers: number[] = [];
  let at = 0;
  entries.forEach((entry, n) => {
    headers.push(encodeHeader(tar, at, entry) - BLOCK);
    at += sizes[n]!;
  });
  return { tar, headers };
}
