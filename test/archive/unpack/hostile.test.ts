/** Archives that want out, or too much: one test for each way. Advisories of other libraries are in advisories.test.ts. */
import { existsSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { snapshotTree } from '../../support/tree.ts';
import { expectContained, expectRefused, inRoot, makeTarget, type Target } from '../attack.ts';
import { asMembers, forge, readableEntries } from '../forge.ts';
import { gnuLong, paxEntry, paxRecord, rawEntry, rawHeader, rawTar, type RawEntry } from '../tar-blocks.ts';
import { expectBothRefuse, LIMITS } from '../unpacking.ts';

type Parts = (RawEntry | Buffer)[];
const file = (path: string, data = 'x'): RawEntry => ({ path, data });
const symlink = (path: string, linkPath: string): RawEntry => ({ type: '2', path, linkPath });
const hardlink = (path: string, linkPath: string): RawEntry => ({ type: '1', path, linkPath });
const directory = (path: string, mode = 0o755): RawEntry => ({ type: '5', path, mode });

describe('names that lead out', () => {
  it.each<[string, string]>([
    ['..', '../escaped'],
    ['.. behind the root', inRoot('../escaped')],
    ['.. behind a directory', inRoot('a/../../../escaped')],
    ['.. at the end', inRoot('a/..')],
    ['absolute', '/tmp/escaped'],
    ['several slashes', '//tmp/escaped'],
    ['. and absolute', './/tmp/escaped'],
    ['an empty segment', inRoot('a//b')],
    ['a dot segment', inRoot('a/./b')],
    ['nothing at all', ''],
    ['another root', 'elsewhere/a'],
    ['a root with more letters', 'node_modules2/a'],
    ['the root itself', 'node_modules'],
  ])('%s: refused', async (_what, path) => {
    await expectRefused(() => [file(path)], { code: 'ARCHIVE_REFUSED', message: JSON.stringify(path) });
    await expectRefused(() => [symlink(path, 'x')], { code: 'ARCHIVE_REFUSED' });
    await expectRefused(() => [hardlink(path, 'x')], { code: 'ARCHIVE_REFUSED' });
  });

  it.each(['../escaped/', '/tmp/escaped/', inRoot('../../escaped/'), inRoot('a//'), 'elsewhere/'])(
    'the directory %s: refused',
    async (path) => expectRefused(() => [directory(path)], { code: 'ARCHIVE_REFUSED' }),
  );

  it('hidden in extended headers: refused', async () => {
    for (const path of ['../escaped', '/tmp/escaped', inRoot('a/../../../escaped')]) {
      await expectRefused(() => [paxEntry({ path }), file(inRoot('a'))], { code: 'ARCHIVE_REFUSED' });
      await expectRefused(() => [gnuLong('L', path), file(inRoot('a'))], { code: 'ARCHIVE_REFUSED' });
      await expectRefused(
        () => [{ ...file('escaped'), prefix: path.slice(0, path.lastIndexOf('/')) || '/' }],
        {
          code: 'ARCHIVE_REFUSED',
        },
      );
    }
  });

  it('with a NUL: refused', async () => {
    await expectRefused(() => [paxEntry({ path: inRoot('a\0b') }), file('a')], { code: 'ARCHIVE_REFUSED' });
    await expectRefused(() => [paxEntry({ path: inRoot('a\0/b') }), file('a')], { code: 'ARCHIVE_REFUSED' });
    await expectRefused(() => [paxEntry({ linkpath: 'a\0b' }), symlink(inRoot('a'), 'b')], {
      code: 'ARCHIVE_REFUSED',
    });
  });

  it('backslashes and drive letters are letters', async () => {
    await expectContained(
      () => [file(inRoot('..\\..\\escaped')), file(inRoot('C:\\escaped'))],
      (dir) => expect(Object.keys(snapshotTree(dir))).toEqual(['..\\..\\escaped', 'C:\\escaped']),
    );
  });
});

describe('links that lead out', () => {
  it('a symlink may point outside, and nothing is written through it', async () => {
    await expectContained(
      ({ base }) => [symlink(inRoot('a'), `${base}/outside`), symlink(inRoot('b'), '../../outside/secret')],
      (dir) => expect(Object.keys(snapshotTree(dir))).toEqual(['a', 'b']),
    );
  });

  it.each<[string, (target: Target) => Parts]>([
    [
      'a file below a symlink',
      ({ base }) => [symlink(inRoot('a'), `${base}/outside`), file(inRoot('a/secret'))],
    ],
    [
      'a file below a symlink that comes later',
      ({ base }) => [file(inRoot('a/secret')), symlink(inRoot('a'), `${base}/outside`)],
    ],
    [
      'a file in place of a symlink',
      ({ base }) => [symlink(inRoot('a'), `${base}/outside/new`), file(inRoot('a'))],
    ],
    [
      'a directory in place of a symlink',
      ({ base }) => [symlink(inRoot('a'), `${base}/outside`), directory(inRoot('a/'), 0o777)],
    ],
    [
      'a directory below a symlink',
      ({ base }) => [symlink(inRoot('a'), `${base}/outside`), directory(inRoot('a/dir/'), 0o777)],
    ],
    [
      'a symlink below a symlink',
      ({ base }) => [symlink(inRoot('a'), `${base}/outside`), symlink(inRoot('a/b'), 'x')],
    ],
    [
      'a symlink in place of a directory',
      ({ base }) => [
        directory(inRoot('a/')),
        symlink(inRoot('a'), `${base}/outside`),
        file(inRoot('a/secret')),
      ],
    ],
    ['two symlinks', ({ base }) => [symlink(inRoot('a'), 'b'), symlink(inRoot('a'), `${base}/outside`)]],
    [
      'a root that is a symlink',
      ({ base }) => [symlink('node_modules', `${base}/outside`), file(inRoot('secret'))],
    ],
    ['a root that is a file', () => [file('node_modules')]],
    ['a symlink to nothing', () => [symlink(inRoot('a'), '')]],
  ])('%s: refused', (_what, parts) => expectRefused(parts, { code: 'ARCHIVE_REFUSED' }));

  it.each<[string, (target: Target) => Parts]>([
    ['absolute', ({ base }) => [hardlink(inRoot('a'), `${base}/outside/secret`)]],
    ['with ..', () => [hardlink(inRoot('a'), '../../outside/secret')]],
    ['with .. behind the root', () => [hardlink(inRoot('a'), inRoot('../../../outside/secret'))]],
    [
      'through a symlink of the archive',
      ({ base }) => [symlink(inRoot('s'), `${base}/outside`), hardlink(inRoot('a'), inRoot('s/secret'))],
    ],
    [
      'to a symlink of the archive',
      ({ base }) => [symlink(inRoot('s'), `${base}/outside/secret`), hardlink(inRoot('a'), inRoot('s'))],
    ],
    ['to a directory', () => [directory(inRoot('d/')), hardlink(inRoot('a'), inRoot('d'))]],
    ['to the root', () => [file(inRoot('b')), hardlink(inRoot('a'), 'node_modules')]],
    ['to nothing', () => [hardlink(inRoot('a'), inRoot('missing'))]],
    ['to no name', () => [hardlink(inRoot('a'), '')]],
    ['to itself', () => [hardlink(inRoot('a'), inRoot('a'))]],
    ['over a file', () => [file(inRoot('a')), file(inRoot('b')), hardlink(inRoot('a'), inRoot('b'))]],
  ])('a hard link %s: refused', (_what, parts) => expectRefused(parts, { code: 'ARCHIVE_REFUSED' }));

  it('a hard link with content, which programs read in two ways: refused', () =>
    expectRefused(() => [file(inRoot('b')), { ...hardlink(inRoot('a'), inRoot('b')), data: 'overwritten' }], {
      code: 'ARCHIVE_REFUSED',
    }));
});

describe('names that are there twice', () => {
  it.each<[string, Parts]>([
    ['two files', [file(inRoot('a')), file(inRoot('a'), 'y')]],
    ['a file and a directory', [file(inRoot('a')), directory(inRoot('a/'))]],
    ['a directory and a file', [directory(inRoot('a/')), file(inRoot('a'))]],
    ['a file where a directory is implied', [file(inRoot('a/b')), file(inRoot('a'))]],
    ['a file and something below it', [file(inRoot('a')), file(inRoot('a/b'))]],
    ['a file and a symlink', [file(inRoot('a')), symlink(inRoot('a'), 'b')]],
    ['a file and a hard link', [file(inRoot('a')), hardlink(inRoot('a'), inRoot('a'))]],
  ])('%s: refused', (_what, parts) =>
    expectRefused(() => parts, { code: 'ARCHIVE_REFUSED', message: inRoot('a') }),
  );

  it.each([inRoot('a/'), inRoot('a')])(
    'two directories: refused in an archive of ours (%s)',
    async (second) => {
      const tar = rawTar(directory(inRoot('a/')), directory(second, 0o777));
      const { entries, firstPath } = readableEntries(tar);
      const bytes = forge(asMembers(tar, entries, firstPath), { compression: 'gzip' });
      await expectBothRefuse(
        bytes,
        { compression: 'gzip', dir: makeTarget().dir },
        { code: 'ARCHIVE_REFUSED', message: expect.stringContaining(inRoot('a')) },
      );
    },
  );

  it('a file in a member of its own, by different workers: refused', async () => {
    const parts = Array.from({ length: 40 }, (_, n) =>
      file(inRoot(n % 20 === 7 ? 'twice' : `f${n}`), 'x'.repeat(200_000)),
    );
    const target = makeTarget();
    await expectBothRefuse(
      rawTar(...parts),
      { compression: 'none', dir: target.dir, workers: 2 },
      { code: 'ARCHIVE_REFUSED', message: expect.stringContaining('twice') },
    );
  });
});

describe('what no package holds', () => {
  it.each<[string, string]>([
    ['a character device', '3'],
    ['a block device', '4'],
    ['a fifo', '6'],
    ['a multi-volume piece', 'M'],
    ['an incremental dump', 'D'],
    ['an unknown type', 'Z'],
    ['a type that is no letter', '\x01'],
  ])('%s: refused by name', async (_what, type) => {
    await expectRefused(() => [{ type, path: inRoot('special') }], {
      code: 'ARCHIVE_REFUSED',
      message: 'special',
    });
    await expectRefused(() => [paxEntry({ path: inRoot('long') }), { type, path: 'x' }], {
      code: 'ARCHIVE_REFUSED',
      message: 'long',
    });
  });

  it('set-id and sticky bits are dropped', async () => {
    await expectContained(
      () => [
        directory(inRoot('d/'), 0o7755),
        { ...file(inRoot('f')), mode: 0o6755 },
        { ...file(inRoot('g')), mode: 0o1777777 },
      ],
      (dir) => {
        for (const [name, mode] of [
          ['d', 0o755],
          ['f', 0o755],
          ['g', 0o777],
        ] as const)
          expect(statSync(join(dir, name)).mode & 0o7777, name).toBe(mode);
      },
    );
  });

  it('a directory or symlink with content: refused', async () => {
    await expectRefused(() => [{ ...directory(inRoot('d/')), data: 'x' }], { code: 'ARCHIVE_REFUSED' });
    await expectRefused(() => [{ ...symlink(inRoot('s'), 'x'), data: 'x' }], { code: 'ARCHIVE_REFUSED' });
  });
});

describe('too much', () => {
  it.each(['9007199255', '-9007199255', '999999999999'])('a time that is not exact any more: %s s', (mtime) =>
    expectRefused(() => [paxEntry({ mtime }), file('late')], {
      code: 'ARCHIVE_LIMIT',
      message: 'late',
    }),
  );

  it('a time beyond what fits the header, but exact, is kept', () =>
    expectContained(
      () => [paxEntry({ mtime: '9007199254.25' }), file(inRoot('late'))],
      (dir) => expect(statSync(join(dir, 'late'), { bigint: true }).mtimeNs).toBe(9_007_199_254_250_000_000n),
    ));

  it.each<[string, Partial<typeof LIMITS>, Parts]>([
    ['bytes', { maxBytes: 1000 }, [file(inRoot('a'), 'x'.repeat(600)), file(inRoot('b'), 'x'.repeat(600))]],
    ['bytes announced', { maxBytes: 1000 }, [{ path: inRoot('a'), size: 0o7777777777 }]],
    ['entries', { maxFiles: 3 }, ['a', 'b', 'c', 'd'].map((name) => file(inRoot(name)))],
    ['directories implied', { maxFiles: 20 }, [file(inRoot(`${'d/'.repeat(30)}f`))]],
    ['bytes of a name', { maxPathBytes: 50 }, [file(inRoot('a'.repeat(60)))]],
    ['bytes of a target', { maxPathBytes: 50 }, [symlink(inRoot('a'), 'b'.repeat(60))]],
  ])('%s', (_what, limits, parts) =>
    expectRefused(() => parts, { code: 'ARCHIVE_LIMIT', options: { limits: { ...LIMITS, ...limits } } }),
  );

  it('a billion zeros in a few bytes', async () => {
    const zeros = gzipSync(Buffer.alloc(100e6), { level: 9 });
    const bomb = Buffer.concat([
      gzipSync(rawHeader({ path: inRoot('zeros'), size: 10 * 100e6 })),
      ...Array.from({ length: 10 }, () => zeros),
    ]);
    const { dir } = makeTarget();
    await expectBothRefuse(
      bomb,
      { compression: 'gzip', dir },
      { code: 'ARCHIVE_LIMIT', message: expect.stringContaining('for each one stored') },
    );
  });

  it('zeros behind the end', async () => {
    const bomb = Buffer.concat([
      gzipSync(rawTar(file(inRoot('a')))),
      gzipSync(Buffer.alloc(200e6), { level: 9 }),
    ]);
    const { dir } = makeTarget();
    await expectBothRefuse(bomb, { compression: 'gzip', dir }, { code: 'ARCHIVE_LIMIT' });
  });

  it('10,000 levels of directories', async () => {
    const deep = inRoot(`${'d/'.repeat(10_000)}f`);
    await expectRefused(() => [paxEntry({ path: deep }), file('x')], { code: 'ARCHIVE_LIMIT' });
    await expectRefused(() => [gnuLong('L', deep), file('x')], { code: 'ARCHIVE_LIMIT' });
    const raised = { limits: { ...LIMITS, maxPathBytes: 1e6 } };
    await expectRefused(() => [paxEntry({ path: deep }), file('x')], {
      code: 'ARCHIVE_LIMIT',
      options: raised,
    });
  });

  it('a name of a megabyte', async () => {
    for (const name of ['n'.repeat(1e6), 'n/'.repeat(5e5)]) {
      await expectRefused(() => [paxEntry({ path: inRoot(name) }), file('x')], { code: 'ARCHIVE_LIMIT' });
      await expectRefused(() => [gnuLong('L', inRoot(name)), file('x')], { code: 'ARCHIVE_LIMIT' });
      await expectRefused(() => [gnuLong('K', name), symlink(inRoot('x'), 'y')], { code: 'ARCHIVE_LIMIT' });
    }
  });

  it('an extended header of gigabytes', async () => {
    for (const type of ['x', 'g', 'L', 'K'])
      await expectRefused(() => [rawHeader({ type, path: 'big', size: 0o77777777777 })], {
        code: 'ARCHIVE_LIMIT',
      });
  });

  it('names of links that would fill the memory', async () => {
    const to = 'l'.repeat(4000);
    const links = Array.from({ length: 18_000 }, (_, n) => [
      paxEntry({ linkpath: to }),
      symlink(inRoot(`l${n}`), 'y'),
    ]);
    const target = makeTarget();
    await expectBothRefuse(
      rawTar(...links.flat()),
      { compression: 'none', dir: target.dir },
      { code: 'ARCHIVE_LIMIT', message: expect.stringContaining('names') },
    );
  });
});

describe('headers that lie', () => {
  it.each<[string, Parts, string]>([
    ['a wrong checksum', [{ ...file(inRoot('a')), checksum: '000000\0 ' }], 'ARCHIVE_CORRUPT'],
    ['a size that is no number', [{ ...file(inRoot('a')), size: 'abcdefghijk' }], 'ARCHIVE_CORRUPT'],
    ['a negative size', [{ path: inRoot('a'), size: Buffer.alloc(12, 0xff) }], 'ARCHIVE_CORRUPT'],
    [
      'a size of 2^87',
      [{ path: inRoot('a'), size: Buffer.from('8000ffffffffffffffffffff', 'hex') }],
      'ARCHIVE_CORRUPT',
    ],
    ['a negative pax size', [paxEntry({ size: '-1' }), file(inRoot('a'))], 'ARCHIVE_CORRUPT'],
    [
      'a pax size of 2^64',
      [paxEntry({ size: '18446744073709551616' }), file(inRoot('a'))],
      'ARCHIVE_CORRUPT',
    ],
    ['a pax size that is no number', [paxEntry({ size: '0x10' }), file(inRoot('a'))], 'ARCHIVE_CORRUPT'],
    [
      'a pax time that is no number',
      [paxEntry({ mtime: 'yesterday' }), file(inRoot('a'))],
      'ARCHIVE_CORRUPT',
    ],
    [
      'a pax header behind a pax header',
      [paxEntry({ comment: 'a' }), paxEntry({ comment: 'b' }), file(inRoot('a'))],
      'ARCHIVE_CORRUPT',
    ],
    ['two long names', [gnuLong('L', inRoot('a')), gnuLong('L', inRoot('b')), file('x')], 'ARCHIVE_CORRUPT'],
    [
      'a long name and a pax name',
      [gnuLong('L', inRoot('a')), paxEntry({ path: inRoot('b') }), file('x')],
      'ARCHIVE_CORRUPT',
    ],
    ['a pax header for nothing', [file(inRoot('a')), paxEntry({ comment: 'a' })], 'ARCHIVE_CORRUPT'],
    [
      'a global header between',
      [paxEntry({ comment: 'a' }), paxEntry({ comment: 'b' }, 'g'), file(inRoot('a'))],
      'ARCHIVE_CORRUPT',
    ],
    ['a global name', [paxEntry({ path: inRoot('b') }, 'g'), file(inRoot('a'))], 'ARCHIVE_REFUSED'],
    ['a global size', [paxEntry({ size: '5' }, 'g'), file(inRoot('a'))], 'ARCHIVE_REFUSED'],
    ['sparse in pax', [paxEntry({ 'GNU.sparse.major': '1' }), file(inRoot('a'))], 'ARCHIVE_REFUSED'],
  ])('%s', (what, parts, code) => {
    // Our own members have a digest in place of the checksum: only there a wrong one goes unnoticed.
    if (what !== 'a wrong checksum') return expectRefused(() => parts, { code });
    return expectBothRefuse(rawTar(...parts), { compression: 'none', dir: makeTarget().dir }, { code });
  });

  it.each<[string, string]>([
    ['a length that is no number', 'xx path=a\n'],
    ['a length of 0', '0 path=a\n'],
    ['a length with a sign', '-9 path=a\n'],
    ['a length beyond the end', '99 path=a\n'],
    ['a length that is too short', '5 path=a\n'],
    ['a length of many digits', '00000000000000000010 path=a\n'],
    ['no equals sign', '8 patha\n'],
    ['no end of line', `${paxRecord('path', 'a').slice(0, -1)}x`],
    ['zeros', '\0'.repeat(20)],
    ['only a number', '5'],
  ])('a pax record with %s', (_what, data) =>
    expectRefused(() => [rawEntry({ type: 'x', path: 'x', data }), file(inRoot('a'))], {
      code: 'ARCHIVE_CORRUPT',
    }),
  );

  it('the content of a file is never read as headers', async () => {
    const inner = rawTar(file(inRoot('smuggled')));
    await expectContained(
      () => [
        file(inRoot('a'), inner.toString('latin1')),
        paxEntry({ size: String(inner.length) }),
        { ...file(inRoot('b'), inner.toString('latin1')), size: 0 },
      ],
      (dir) => expect(existsSync(join(dir, 'smuggled'))).toBe(false),
    );
  });
});
