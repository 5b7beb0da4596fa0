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
    skip(lacks(...['bsdtar', 'pigz', 'zstd'].filter((program) => command!.includes(program))));
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

  it.skipIf(compression === 'zstd')('is read by node-tar, which finds nothing to warn of', async () => {
    const out = temporaryDir();
    await extract({ file: archives.get(compression)!, cwd: out, strict: true, preservePaths: true });
    const times = (tree: Record<string, TreeEntry>): Record<string, TreeEntry> =>
      // It does not set the times of symlinks, nor keep those of directories.
      Object.fromEntries(
        Object.entries(tree).map(([name, entry]) => [
          name,
          entry.type === 'file' ? entry : { ...entry, mtimeUs: '' },
        ]),
      );
    expect(times(inSeconds(join(out, ROOT)))).toEqual(times(inSeconds(dir)));
  });

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
