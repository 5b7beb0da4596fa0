/** Archives that other programs wrote: same tree, same checks. */
import { execFileSync } from 'node:child_process';
import { linkSync, mkdirSync, readFileSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import * as tar from 'tar';
import { describe, expect, it } from 'vitest';
import type { Compression } from '../../../src/archive/types.ts';
import { makeRandomTree, snapshotTree } from '../../support/tree.ts';
import { gnuLong, paxEntry, rawEntry, rawTar } from '../tar-blocks.ts';
import { COMPRESSIONS, ROOT, temporaryDir, unpackBytes } from '../unpacking.ts';
import { lacks } from '../../support/programs.ts';

/** A tree with all that programs disagree on: long names and targets, a file larger than a slab, odd bytes. */
function makeTree(seed: number): string {
  const base = temporaryDir();
  makeRandomTree(join(base, ROOT), { seed, files: 120 });
  const deep = join(base, ROOT, 'd'.repeat(90), 'e'.repeat(90), 'f'.repeat(90));
  mkdirSync(deep, { recursive: true });
  writeFileSync(join(deep, 'g'.repeat(200)), 'long name');
  symlinkSync('t'.repeat(180), join(deep, 'long target'));
  writeFileSync(join(base, ROOT, 'large.bin'), Buffer.alloc(5_000_123, 'some words '));
  writeFileSync(join(base, ROOT, 'exactly a slab'), Buffer.alloc(1024 * 1024, 'x'));
  return base;
}

/** What each program writes to stdout, and whether it keeps fractions of seconds. */
const WRITERS: Record<string, { argv: string[]; fractions?: boolean }> = {
  'GNU tar': { argv: ['tar', '-cf', '-', ROOT] },
  'GNU tar, pax': { argv: ['tar', '--format=pax', '-cf', '-', ROOT], fractions: true },
  'GNU tar, names beginning with ./': { argv: ['tar', '-cf', '-', `./${ROOT}`] },
  'GNU tar of the whole directory': { argv: ['tar', '-cf', '-', '.'] },
  bsdtar: { argv: ['bsdtar', '--format=pax', '-cf', '-', ROOT], fractions: true },
  'bsdtar, GNU format': { argv: ['bsdtar', '--format=gnutar', '-cf', '-', ROOT] },
};

describe.each(Object.entries(WRITERS))('an archive of %s', (_name, { argv, fractions = false }) => {
  it.skipIf(lacks(argv[0]!)).each([0, 2])('comes out the same with %i worker threads', async (workers) => {
    const base = makeTree(workers);
    const bytes = write(argv, base);
    const dir = join(base, 'out');
    const summary = await unpackBytes(gzipSync(bytes), { compression: 'gzip', dir, workers, chunk: 70_000 });
    expect(seconds(snapshotTree(dir), fractions)).toEqual(seconds(snapshotTree(join(base, ROOT)), fractions));
    expect(summary).toMatchObject({ isOurs: false, roots: [ROOT], installSeconds: 0, bytes: bytes.length });
  });
});

describe('other ways of writing one', () => {
  it('node-tar', async () => {
    const base = makeTree(3);
    // Node rounds times to milliseconds, and so a file's may be those of the next second.
    execFileSync('find', [join(base, ROOT), '-exec', 'touch', '-h', '-d', '@1700000000.25', '{}', '+']);
    const dir = join(base, 'out');
    const file = join(base, 'a.tgz');
    await tar.create({ gzip: true, cwd: base, file }, [ROOT]);
    await unpackBytes(readFileSync(file), { compression: 'gzip', dir });
    expect(seconds(snapshotTree(dir), false)).toEqual(seconds(snapshotTree(join(base, ROOT)), false));
  });

  it.skipIf(lacks('pigz'))('pigz, and several gzip members one after the other', async () => {
    const base = makeTree(4);
    const bytes = write(['tar', '-cf', '-', ROOT], base);
    const pigz = execFileSync('pigz', ['-c', '-b', '128'], { input: bytes, maxBuffer: 1e9 });
    const members = [0, 1, 2].map((n) =>
      gzipSync(bytes.subarray((n * bytes.length) / 3, ((n + 1) * bytes.length) / 3)),
    );
    for (const [n, archive] of [pigz, Buffer.concat(members)].entries()) {
      const dir = join(base, `out${n}`);
      await unpackBytes(archive, { compression: 'gzip', dir });
      expect(seconds(snapshotTree(dir), false)).toEqual(seconds(snapshotTree(join(base, ROOT)), false));
    }
  });

  it.each(COMPRESSIONS.filter((compression) => compression !== 'gzip'))('with %s', async (compression) => {
    const base = makeTree(5);
    const bytes = write(['tar', '--format=pax', '-cf', '-', ROOT], base);
    const dir = join(base, 'out');
    const archive =
      compression === 'zstd' ? execFileSync('zstd', ['-c'], { input: bytes, maxBuffer: 1e9 }) : bytes;
    await unpackBytes(archive, { compression, dir, chunk: 4321 });
    expect(snapshotTree(dir)).toEqual(snapshotTree(join(base, ROOT)));
  });

  it('the old library: one top folder named after the last part of the directory', async () => {
    const base = makeTree(6);
    const bytes = gzipSync(write(['tar', '-cf', '-', ROOT], base));
    const dir = join(base, 'out');
    const roots = [
      { prefix: `vendor/${ROOT}`, dir },
      { prefix: ROOT, dir },
    ];
    const summary = await unpackBytes(bytes, { compression: 'gzip', dir, roots });
    expect(seconds(snapshotTree(dir), false)).toEqual(seconds(snapshotTree(join(base, ROOT)), false));
    expect(summary.roots).toEqual([`vendor/${ROOT}`]);
  });

  it('several directories, of which some are missing', async () => {
    const base = temporaryDir();
    for (const name of ['node_modules', 'packages/a/node_modules'])
      makeRandomTree(join(base, name), { seed: 7, files: 20 });
    const bytes = gzipSync(write(['tar', '-cf', '-', 'node_modules', 'packages'], base));
    const roots = ['node_modules', 'packages/a/node_modules', 'packages/b/node_modules'].map((prefix, n) => ({
      prefix,
      dir: join(base, `out${n}`),
    }));
    const summary = await unpackBytes(bytes, { compression: 'gzip', dir: '', roots });
    expect(summary.roots).toEqual(['node_modules', 'packages/a/node_modules']);
    expect(seconds(snapshotTree(join(base, 'out1')), false)).toEqual(
      seconds(snapshotTree(join(base, 'packages/a/node_modules')), false),
    );
  });

  it.each(['v7', 'oldgnu', 'ustar'])('GNU tar, %s', async (format) => {
    const base = temporaryDir();
    const deep = join(base, ROOT, 'a'.repeat(20), 'b'.repeat(20));
    mkdirSync(deep, { recursive: true });
    writeFileSync(join(deep, 'c'.repeat(40)), 'x', { mode: 0o755 });
    symlinkSync('somewhere', join(deep, 'link'));
    linkSync(join(deep, 'c'.repeat(40)), join(deep, 'hard'));
    const archive = write(['tar', `--format=${format}`, '-cf', '-', ROOT], base);
    const dir = join(base, 'out');
    await unpackBytes(archive, { compression: 'none', dir });
    expect(seconds(snapshotTree(dir), false)).toEqual(seconds(snapshotTree(join(base, ROOT)), false));
  });

  it.each(COMPRESSIONS)('no blocks at its end, with %s', async (compression) => {
    const dir = join(temporaryDir(), 'out');
    const tar = rawTar(
      { path: 'node_modules/a', data: 'x'.repeat(700) },
      { path: 'node_modules/b', data: 'y' },
    ).subarray(0, -1024);
    const bytes =
      compression === 'gzip'
        ? gzipSync(tar)
        : compression === 'zstd'
          ? execFileSync('zstd', ['-c'], { input: tar })
          : tar;
    const unpacked = unpackBytes(bytes, { compression, dir });
    // Nothing vouches for the end of a plain tar.
    if (compression === 'none') return expect(unpacked).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
    await unpacked;
    expect(Object.keys(snapshotTree(dir))).toEqual(['a', 'b']);
  });

  it('a directory twice, as appending makes it: the later entry counts', async () => {
    const dir = join(temporaryDir(), 'out');
    const archive = rawTar(
      { type: '5', path: 'node_modules/a', mode: 0o755, mtime: 1_500_000_000 },
      { path: 'node_modules/a/b', data: 'x' },
      { type: '5', path: 'node_modules/a', mode: 0o711, mtime: 1_600_000_000 },
    );
    await unpackBytes(archive, { compression: 'none', dir });
    expect(snapshotTree(dir)['a']).toMatchObject({ mode: '711', mtimeUs: '1600000000000000' });
  });

  it('one tar after another is refused: tar programs read the first alone, or both', async () => {
    const one = rawTar({ path: 'node_modules/a', data: 'x' });
    const archive = Buffer.concat([gzipSync(one), gzipSync(rawTar({ path: 'node_modules/b', data: 'y' }))]);
    const unpacked = unpackBytes(archive, { compression: 'gzip', dir: join(temporaryDir(), 'out') });
    await expect(unpacked).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
  });

  it('no entry for the directories', async () => {
    const dir = join(temporaryDir(), 'out');
    await unpackBytes(rawTar({ path: 'node_modules/a/b/c.js', data: 'x' }), { compression: 'none', dir });
    expect(snapshotTree(dir)).toMatchObject({
      a: { mode: '755' },
      'a/b': { mode: '755' },
      'a/b/c.js': { size: 1 },
    });
  });

  it('pax and GNU names on one entry, each for its own field', async () => {
    const dir = join(temporaryDir(), 'out');
    const archive = rawTar(
      gnuLong('K', 'k'.repeat(150)),
      paxEntry({ path: 'node_modules/link' }),
      { type: '2', path: 'short', linkPath: 'short' },
      paxEntry({ comment: 'for all', uname: 'root' }, 'g'),
      { path: 'node_modules/a', data: 'x' },
    );
    await unpackBytes(archive, { compression: 'none', dir });
    expect(snapshotTree(dir)).toMatchObject({ link: { target: 'k'.repeat(150) }, a: { size: 1 } });
  });
});

describe('what a foreign archive may not be', () => {
  it('truncated', async () => {
    const base = makeTree(8);
    const bytes = write(['tar', '-cf', '-', ROOT], base);
    const archives: [Compression, Buffer][] = [
      ['gzip', gzipSync(bytes)],
      ['none', bytes.subarray(0, bytes.lastIndexOf('ustar'))],
      ['gzip', gzipSync(bytes.subarray(0, bytes.length / 2))],
    ];
    for (const [n, [compression, archive]] of archives.entries())
      for (const length of [0, 1, 9, 600, archive.length >> 1, archive.length - 9, archive.length - 1]) {
        const unpacked = unpackBytes(archive.subarray(0, length), {
          compression,
          dir: join(base, `${n}-${length}`),
        });
        await expect(unpacked, `${n}, ${length}`).rejects.toMatchObject({ code: 'ARCHIVE_TRUNCATED' });
      }
  });

  it('altered', async () => {
    const base = makeTree(9);
    const bytes = gzipSync(write(['tar', '-cf', '-', ROOT], base));
    for (let n = 1; n < 30; n++) {
      const altered = Buffer.from(bytes);
      const at = Math.floor((n * bytes.length) / 30);
      altered[at]! ^= 1 << (n % 8);
      const unpacked = unpackBytes(altered, { compression: 'gzip', dir: join(base, `${n}`) });
      await expect(unpacked, String(at)).rejects.toMatchObject({ code: expect.stringMatching(/^ARCHIVE_/) });
    }
  });

  it('no archive at all', async () => {
    const garbage: [Compression, Buffer][] = [
      ['gzip', Buffer.from('<html>not found</html>'.repeat(100))],
      ['none', Buffer.from('<html>not found</html>'.repeat(100))],
      ['gzip', gzipSync(Buffer.from('<html>not found</html>'.repeat(100)))],
    ];
    for (const [compression, bytes] of garbage)
      await expect(unpackBytes(bytes, { compression, dir: join(temporaryDir(), 'x') })).rejects.toMatchObject(
        {
          code: 'ARCHIVE_CORRUPT',
        },
      );
  });

  it('followed by something else, long after its end', async () => {
    const archive = Buffer.concat([
      rawTar({ path: 'node_modules/a', data: 'x' }),
      Buffer.alloc(200_000),
      rawEntry({ path: 'node_modules/b' }),
    ]);
    const unpacked = unpackBytes(archive, {
      compression: 'none',
      dir: join(temporaryDir(), 'x'),
      chunk: 10_000,
    });
    await expect(unpacked).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
  });

  it('followed by something else', async () => {
    const archive = Buffer.concat([
      rawTar({ path: 'node_modules/a', data: 'x' }),
      rawEntry({ path: 'node_modules/b' }),
    ]);
    const unpacked = unpackBytes(archive, { compression: 'none', dir: join(temporaryDir(), 'x') });
    await expect(unpacked).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
  });

  it('sparse: refused by name, with what to do', async () => {
    const base = temporaryDir();
    mkdirSync(join(base, ROOT));
    writeFileSync(join(base, ROOT, 'holes'), 'x');
    truncateSync(join(base, ROOT, 'holes'), 10_000_000);
    for (const format of ['gnu', 'pax']) {
      const bytes = write(['tar', '--sparse', `--format=${format}`, '-cf', '-', ROOT], base);
      const unpacked = unpackBytes(bytes, { compression: 'none', dir: join(base, format) });
      await expect(unpacked).rejects.toMatchObject({
        code: 'ARCHIVE_REFUSED',
        message: expect.stringContaining('holes'),
      });
    }
  });
});

function write([program, ...args]: string[], cwd: string): Buffer {
  return execFileSync(program!, args, { cwd, maxBuffer: 1e9 });
}

function seconds(tree: ReturnType<typeof snapshotTree>, fractions: boolean): unknown {
  return fractions ? tree : rounded(tree);
}

function rounded(tree: ReturnType<typeof snapshotTree>): unknown {
  return Object.fromEntries(
    Object.entries(tree).map(([path, entry]) => [path, { ...entry, mtimeUs: entry.mtimeUs.slice(0, -6) }]),
  );
}
