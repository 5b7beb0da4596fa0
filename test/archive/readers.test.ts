/** What we write is ordinary: every tar program reads it, without a word on stderr. */
import { execFileSync, spawnSync } from 'node:child_process';
import { linkSync, mkdirSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { extract } from 'tar';
import { beforeAll, describe, expect, it } from 'vitest';
import { type Compression, EXTENSIONS } from '../../src/archive/types.ts';
import { snapshotTree, type TreeEntry } from '../support/tree.ts';
import { noise, packBytes } from './packing.ts';
import { COMPRESSIONS, ROOT, temporaryDir } from './unpacking.ts';
import { lacks } from '../support/programs.ts';

const source = temporaryDir();
const dir = join(source, ROOT);
const archives = new Map<Compression, string>();
/** A tree whose index is several times as long as the 8 KiB that busybox takes of an extra field. */
const large = temporaryDir();
const manyMembers = new Map<Compression, string>();

/** It is told to trust the archive, or it refuses the links that lead out of it. */
const PYTHON = `python3 -c 'import os, tarfile
with tarfile.open(os.environ["A"]) as tar:
    tar.extraction_filter = getattr(tarfile, "fully_trusted_filter", None)
    tar.extractall(os.environ["D"])'`;

beforeAll(async () => {
  mkdirSync(join(dir, 'deep/er'), { recursive: true });
  mkdirSync(join(dir, 'empty'));
  mkdirSync(join(dir, 'linked'));
  const long = `${'long-'.repeat(30)}/${'name-'.repeat(30)}`;
  mkdirSync(join(dir, long, '..'), { recursive: true });
  for (const name of ['a.js', 'deep/er/b.js', 'deep/c d.js', 'ünï-日本.js', long])
    writeFileSync(join(dir, name), `// ${name}\n`.repeat(50));
  for (let n = 0; n < 60; n++) writeFileSync(join(dir, `text${n}.txt`), `text ${n} `.repeat(10_000));
  writeFileSync(join(dir, 'run.sh'), '#!/bin/sh\n', { mode: 0o755 });
  writeFileSync(join(dir, 'none'), '');
  // In pieces, compressed and stored.
  writeFileSync(join(dir, 'large.txt'), 'some words '.repeat(500_000));
  writeFileSync(join(dir, 'large.bin'), noise(1, 5_000_001));
  symlinkSync('../a.js', join(dir, 'linked/up'));
  symlinkSync('x'.repeat(150), join(dir, 'long-link'));
  linkSync(join(dir, 'a.js'), join(dir, 'deep/er/hard'));
  utimesSync(join(dir, 'empty'), 1_600_000_000, 1_600_000_000);
  utimesSync(join(dir, 'deep'), 1_500_000_000, 1_500_000_000);
  for (const compression of COMPRESSIONS) {
    // By its name: GNU tar tells zstd by the magic of a data frame, or by the suffix; ours starts with a skippable one.
    const path = join(source, `archive${EXTENSIONS[compression]}`);
    writeFileSync(path, await packBytes({ dir: source, compression }));
    archives.set(compression, path);
  }
  const below = join(large, ROOT, ...Array.from({ length: 8 }, (_, n) => `${n}-`.repeat(120)));
  mkdirSync(below, { recursive: true });
  for (let n = 0; n < 14; n++) writeFileSync(join(below, `${n}.bin`), Buffer.alloc(2_000_000, n));
  for (const compression of COMPRESSIONS.filter((name) => name !== 'zstd')) {
    const path = join(large, `archive${EXTENSIONS[compression]}`);
    writeFileSync(path, await packBytes({ dir: large, compression }));
    manyMembers.set(compression, path);
  }
});

describe.each(COMPRESSIONS)('an archive with %s', (compression) => {
  it.for([
    ['tar -xf', 'tar -xf $A -C $D'],
    ['bsdtar -xf', 'bsdtar -xf $A -C $D'],
    ...(compression === 'gzip'
      ? [
          ['pigz', 'pigz -dc < $A | tar -xf - -C $D'],
          ['gzip', 'gzip -dc < $A | tar -xf - -C $D'],
        ]
      : []),
    ...(compression === 'zstd'
      ? [
          ['zstd', 'zstd -dc < $A | tar -xf - -C $D'],
          ['zstd with threads', 'zstd -T0 -dc < $A | bsdtar -xf - -C $D'],
        ]
      : []),
    ...(compression === 'none' ? [['a pipe', 'cat $A | tar -xf - -C $D']] : []),
  ])('is read by %s', ([, command], { skip }) => {
    skip(
      lacks(
        ...['bsdtar', 'pigz', 'zstd', 'busybox', 'python3'].filter((program) => command!.includes(program)),
      ),
    );
    const out = temporaryDir();
    const { status, stderr } = spawnSync('sh', ['-c', command!], {
      env: { ...process.env, LC_ALL: 'C.UTF-8', A: archives.get(compression)!, D: out },
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(inSeconds(join(out, ROOT))).toEqual(inSeconds(dir));
    rmSync(out, { recursive: true });
  });

  // None of these reads zstd.
  if (compression !== 'zstd') {
    it('is read by node-tar, which finds nothing to warn of', async () => {
      const out = temporaryDir();
      await extract({ file: archives.get(compression)!, cwd: out, strict: true, preservePaths: true });
      expect(timesOfFiles(join(out, ROOT))).toEqual(timesOfFiles(dir));
    });

    it.for([
      // It does not look for gzip in a stream that begins with an extra field.
      ['busybox', compression === 'gzip' ? 'busybox tar -xzf $A -C $D' : 'busybox tar -xf $A -C $D'],
      ['python3', PYTHON],
    ] as const)('is read by %s', ([program, command], { skip }) => {
      skip(lacks(program));
      for (const path of [archives.get(compression)!, manyMembers.get(compression)!]) {
        const out = temporaryDir();
        const env = { ...process.env, A: path, D: out };
        const { status, stderr } = spawnSync('sh', ['-c', command], { env, encoding: 'utf8' });
        expect(stderr).toBe('');
        expect(status).toBe(0);
        const from = path === archives.get(compression) ? dir : join(large, ROOT);
        expect(timesOfFiles(join(out, ROOT))).toEqual(timesOfFiles(from));
        rmSync(out, { recursive: true });
      }
    });
  }

  it('lists in GNU tar as it would list its own', () => {
    const list = (archive: string): string[] =>
      execFileSync('tar', ['--full-time', '--numeric-owner', '-tvf', archive], { encoding: 'utf8' })
        .trimEnd()
        .split('\n')
        .filter((line) => !/hard|a\.js/.test(line))
        .map((line) => line.replace(/(\d)\.\d+/, '$1'))
        .sort();
    const own = join(source, 'own.tar');
    execFileSync('tar', ['--owner=0', '--group=0', '-cf', own, '-C', source, ROOT]);
    expect(list(archives.get(compression)!)).toEqual(list(own));
  });
});

it.skipIf(COMPRESSIONS.includes('zstd'))('says which Node has zstd when this one has none', async () => {
  await expect(packBytes({ dir: source, compression: 'zstd' })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    hint: expect.stringContaining('22.15'),
  });
});

/** Not all programs set the times of symlinks, and keep those of directories. */
function timesOfFiles(root: string): Record<string, TreeEntry> {
  return Object.fromEntries(
    Object.entries(inSeconds(root)).map(([name, entry]) => [
      name,
      entry.type === 'file' ? entry : { ...entry, mtimeUs: '' },
    ]),
  );
}

/** Microseconds are ours alone. */
function inSeconds(root: string): Record<string, TreeEntry> {
  return Object.fromEntries(
    Object.entries(snapshotTree(root)).map(([name, entry]) => [
      name,
      // GNU tar makes links that lead upwards after it has set the times of the directories they are in.
      { ...entry, mtimeUs: name === 'linked' ? '' : entry.mtimeUs.slice(0, -6) },
    ]),
  );
}
