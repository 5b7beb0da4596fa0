/** Times that follow from what files hold: the same bytes for the same content, whenever it was installed. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  linkSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { snapshotTree, withoutTimes } from '../../support/tree.ts';
import { noise, packBytes, SEAL, startPacking } from '../packing.ts';
import { COMPRESSIONS, ROOT, temporaryDir, unpackBytes } from '../unpacking.ts';

const MEBIBYTE = 1024 * 1024;
const EXPECTED = { keyDigest: SEAL.keyDigest, recipe: SEAL.recipe, runtime: SEAL.runtime };
const RECORD = `${ROOT}/.package-lock.json`;
const MADE = { madeTimes: { except: [RECORD, `${ROOT}/kept`] } };
/** 1985-10-26T08:15:00Z, in microseconds. */
const FIRST = 499_162_500_000_000;

/** @param seconds the time of an install, on everything */
function installed(seconds: number, content: Record<string, string | Buffer> = {}): string {
  const dir = temporaryDir();
  const root = join(dir, ROOT);
  const files = {
    '.package-lock.json': '{}',
    'a/package.json': '{"version":"7.8.1"}',
    'a/empty': '',
    'b/same.js': 'same',
    'c/same.js': 'same',
    'b/large.node': noise(3, 5 * MEBIBYTE + 77),
    'kept/one.js': '1',
    [`${'d'.repeat(120)}/${'f'.repeat(120)}`]: 'a name with a header of its own',
    ...content,
  };
  for (const [path, bytes] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), bytes);
  }
  symlinkSync('one.js', join(root, 'kept/link'));
  linkSync(join(root, 'b/large.node'), join(root, 'c/linked.node'));
  for (const path of [...(readdirSync(root, { recursive: true }) as string[]), ''])
    lutimesSync(join(root, path), seconds, seconds);
  return dir;
}

async function restored(bytes: Buffer, compression: (typeof COMPRESSIONS)[number]) {
  const dir = join(temporaryDir(), 'out');
  await unpackBytes(bytes, { compression, dir, mustBeOurs: true, expected: EXPECTED });
  return snapshotTree(dir);
}

describe.each(COMPRESSIONS)('made times with %s', (compression) => {
  it('are the same whenever the tree was installed, and leave out what keeps its own', async () => {
    const [one, other] = [installed(1.7e9), installed(1.8e9)];
    const tree = await restored(await packBytes({ dir: one, compression, ...MADE }), compression);
    const again = await restored(await packBytes({ dir: other, compression, ...MADE }), compression);
    const own = Object.keys(tree).filter((path) => tree[path]!.mtimeUs !== again[path]!.mtimeUs);
    expect(own).toEqual(['.package-lock.json', 'kept']);
    expect(own.map((path) => tree[path]!.mtimeUs)).toEqual(['1700000000000000', '1700000000000000']);

    for (const dir of [one, other]) utimesSync(join(dir, ROOT, 'kept'), 1.6e9, 1.6e9);
    for (const dir of [one, other]) utimesSync(join(dir, RECORD), 1.6e9, 1.6e9);
    const bytes = await packBytes({ dir: one, compression, ...MADE });
    expect(sha256(await packBytes({ dir: other, compression, ...MADE }))).toBe(sha256(bytes));
    expect(sha256(await packBytes({ dir: other, compression, workers: 3, ...MADE }))).toBe(sha256(bytes));
    expect(sha256(await packBytes({ dir: one, compression }))).not.toBe(sha256(bytes));
  });

  it('change nothing else of the tree', async () => {
    const dir = installed(1.7e9);
    const tree = await restored(await packBytes({ dir, compression, ...MADE }), compression);
    expect(withoutTimes(tree)).toEqual(withoutTimes(snapshotTree(join(dir, ROOT))));
  });

  it('are what tar finds too', async () => {
    const bytes = await packBytes({ dir: installed(1.7e9), compression, ...MADE });
    const out = temporaryDir();
    const flags = { gzip: ['-z'], zstd: ['--zstd'], none: [] }[compression];
    execFileSync('tar', ['-x', ...flags, '-f', '-', '-C', out], { input: bytes });
    expect(snapshotTree(join(out, ROOT))).toEqual(await restored(bytes, compression));
  });
});

describe('a made time', () => {
  it('is the same for the same content, and another for another of the same size', async () => {
    const large = noise(3, 5 * MEBIBYTE + 77);
    large.writeUInt8(large.readUInt8(large.length - 5) ^ 1, large.length - 5);
    const before = await restored(await packBytes({ dir: installed(1.7e9), ...MADE }), 'gzip');
    const bump = { 'a/package.json': '{"version":"7.8.2"}', 'b/large.node': large };
    const after = await restored(await packBytes({ dir: installed(1.7e9, bump), ...MADE }), 'gzip');
    const differ = Object.keys(before).filter((path) => before[path]!.mtimeUs !== after[path]!.mtimeUs);
    expect(differ).toEqual(['a/package.json', 'b/large.node', 'c/linked.node']);
    expect(before['b/same.js']!.mtimeUs).toBe(before['c/same.js']!.mtimeUs);
  });

  it('is never older than that of a directory or a link, and a whole second before 1995', async () => {
    const tree = await restored(await packBytes({ dir: installed(1.7e9), ...MADE }), 'gzip');
    for (const [path, { type, mtimeUs }] of Object.entries(tree)) {
      if (['.package-lock.json', 'kept'].includes(path)) continue;
      if (type !== 'file' || path === 'a/empty') expect(Number(mtimeUs), path).toBe(FIRST);
      else expect(Number(mtimeUs), path).toBeGreaterThan(FIRST);
      expect(Number(mtimeUs) % 1e6).toBe(0);
      expect(Number(mtimeUs)).toBeLessThan(Date.UTC(1995, 0) * 1000);
    }
  });

  it('does not hide that a file was written while it was packed', async () => {
    const dir = installed(1.7e9);
    mkdirSync(join(dir, ROOT, 'zz'));
    writeFileSync(join(dir, ROOT, 'zz/zz.js'), 'before');
    const failure = (async () => {
      let members = 0;
      for await (const _chunk of startPacking({ dir, packages: ['node_modules/*'], ...MADE }).body)
        if (members++ === 0) writeFileSync(join(dir, ROOT, 'zz/zz.js'), 'after!');
    })();
    await expect(failure).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });
});

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}
