/**
 * Workers read ordinary headers of what they have decompressed with WebAssembly, and all headers of what is stored as it is
 * with tar-entries.ts. So the same tar, forged into both containers, has to lead to the same tree or the same refusal.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, it, vi } from 'vitest';
import { CacheError } from '../../src/errors.ts';
import type { Compression, UnpackOptions } from '../../src/archive/types.ts';
import { wasm } from '../../src/archive/wasm/instance.ts';
import { snapshotTree } from '../support/tree.ts';
import { isRoot } from '../support/user.ts';
import { forge, readableEntries, type ForgedMember } from './forge.ts';
import { rawEntry } from './tar-blocks.ts';
import { COMPRESSIONS, LIMITS, temporaryDir, unpackBytes } from './unpacking.ts';

const RUNS = Number(process.env.QUICK_PATH_RUNS ?? 400);
const dir = temporaryDir();
const one = join(dir, 'one');
const two = join(dir, 'two');

/** Where there is one root only, names beside the last one's need no second look; where one is in another, they do. */
const ROOTS: Record<string, UnpackOptions['roots']> = {
  'one root': [{ prefix: 'm', dir: one }],
  'two roots': [
    { prefix: 'm', dir: one },
    { prefix: 'p/q', dir: two },
  ],
  'a root in a root': [
    { prefix: 'm', dir: one },
    { prefix: 'm/a/b', dir: two },
  ],
};

const usual = fc.constantFrom(
  'm',
  'm/a',
  'm/a/b',
  'm/b',
  'm/a/b/c',
  'p/q',
  'p/q/a',
  `m/${'long/'.repeat(25)}`,
);
const odd = fc.constantFrom(
  '.',
  './m',
  'm/',
  'm//a',
  'm/./a',
  'm/../x',
  '/m',
  '',
  'p',
  'q',
  'm/a/.',
  'M',
  'mm',
);
const base = fc.constantFrom('x', 'y', 'z', 'a', 'b', 'c', '.', '..', '', 'é', 'n'.repeat(99));
const path = fc
  .tuple(
    fc.oneof({ weight: 30, arbitrary: usual }, odd),
    fc.oneof({ weight: 20, arbitrary: base }, fc.constant('a/b')),
  )
  .map(([parent, name]) => `${parent}/${name}`);
const entry = fc.record({
  path: fc.oneof({ weight: 12, arbitrary: path }, usual, odd),
  type: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom('0', '0', '5') },
    fc.constantFrom('0', '1', '2', '\0', '7', '3'),
  ),
  data: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, fc.nat(1200)),
  // What an ordinary user may not read cannot be compared, and a directory that may not be written not be emptied.
  mode: fc
    .constantFrom(0o644, 0o755, 0o400, 0o000, 0o4755, 0o700)
    .map((mode) => (isRoot() ? mode : mode | 0o700)),
  mtime: fc.constantFrom(0, 1, 1_700_000_000, 0o77777777777),
  split: fc.boolean(),
  /** Of a file: what its header says instead of its length. */
  size: fc.option(fc.constantFrom(2 ** 32, 2 ** 32 + 512, 2 ** 33 - 1, 5000), { freq: 30, nil: undefined }),
});
const limits = fc.record({
  maxBytes: fc.constantFrom(1000, 64e9),
  maxFiles: fc.constantFrom(5, 100_000),
  maxPathBytes: fc.constantFrom(20, 120, 4096),
});

it.each(Object.entries(ROOTS))('reads what is compressed as what is not: %s', async (_, roots) => {
  let unpacked = 0;
  const members = fc.array(fc.array(entry, { minLength: 1, maxLength: 8 }), { maxLength: 3 });
  const property = fc.asyncProperty(members, limits, async (drafts, some) => {
    const forged = [...drafts.map(memberOf), END];
    const outcome = (compression: Compression) =>
      outcomeOf(forge(forged, { compression }), { compression, roots, limits: { ...LIMITS, ...some } });
    const quick = await outcome('gzip');
    expect(quick).toStrictEqual(await outcome('none'));
    if (quick.summary !== undefined) unpacked++;
  });
  await fc.assert(property, { numRuns: RUNS });
  expect(unpacked).toBeGreaterThan(RUNS / 20);
});

it('refuses a file in place of a root, whatever stands beside it', async () => {
  const member = memberOf(['m/a/x', 'm/a/b'].map((name) => ({ ...FILE, path: name })));
  const options = { roots: ROOTS['a root in a root']!, limits: LIMITS };
  for (const compression of COMPRESSIONS) {
    const { code, message } = await outcomeOf(forge([member, END], { compression }), {
      ...options,
      compression,
    });
    expect({ code, message }).toStrictEqual({
      code: 'ARCHIVE_REFUSED',
      message: expect.stringContaining('"m/a/b" must be a directory') as string,
    });
  }
});

it.each(COMPRESSIONS)('is taken for what is compressed: %s', async (compression) => {
  const read = vi.spyOn(wasm(), 'readEntries');
  const member = memberOf([FILE]);
  await outcomeOf(forge([member, END], { compression }), { roots: ROOTS['one root']!, compression });
  expect(read.mock.results.some(({ value }) => (value as { count: number }).count === 1)).toBe(
    compression !== 'none',
  );
  read.mockRestore();
});

const FILE: Draft = {
  path: 'm/x',
  type: '0',
  data: 10,
  mode: 0o644,
  mtime: 0,
  split: false,
  size: undefined,
};
const END: ForgedMember = { tar: Buffer.alloc(1024), entries: 0, firstPath: '' };

interface Draft {
  path: string;
  type: string;
  data: number;
  mode: number;
  mtime: number;
  split: boolean;
  size: number | undefined;
}

/**
 * Some of the names in both fields. A size that lies has content read as headers: for root that makes entries of any mode, for an
 * ordinary user it must not, who could not read and compare them all.
 */
function memberOf(drafts: Draft[]): ForgedMember {
  const entries = drafts.map(({ split, data, path: whole, size, ...rest }) => {
    const cut = split || whole.length > 100 ? whole.lastIndexOf('/') : -1;
    const isLink = rest.type === '1' || rest.type === '2';
    return rawEntry({
      ...rest,
      ...(size !== undefined && '0\0'.includes(rest.type) && { size }),
      path: whole.slice(cut + 1),
      prefix: whole.slice(0, Math.max(0, cut)),
      linkPath: isLink ? 'm/x' : '',
      data: isLink || rest.type === '5' ? '' : Buffer.alloc(data, isRoot() ? whole : 0xff),
    });
  });
  const tar = Buffer.concat(entries);
  return { tar, ...readableEntries(tar) };
}

/** Directories without an entry have the time of now. */
function treeNow(): unknown {
  const tree = Object.entries(snapshotTree(dir));
  return tree.map(([at, found]) => {
    const seconds = Number(found.mtimeUs) / 1e6;
    const isNow = seconds > 1_700_000_000 && seconds < 0o77777777777;
    return [at, { ...found, ...(isNow && { mtimeUs: 'now' }) }];
  });
}

async function outcomeOf(bytes: Buffer, options: Partial<UnpackOptions> & { compression: Compression }) {
  for (const root of [one, two]) rmSync(root, { recursive: true, force: true });
  try {
    const { files, bytes: tarBytes, roots } = await unpackBytes(bytes, { dir: one, ...options });
    return {
      summary: { files, tarBytes, roots },
      tree: treeNow(),
    };
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    return { code: error.code, message: error.message, tree: treeNow() };
  }
}
