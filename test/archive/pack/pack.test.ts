/** What packing promises: the same bytes for the same tree, a clear error for a tree that moves, and an end at once when asked. */
import { createHash } from 'node:crypto';
import { execFileSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeRecord } from '../../../src/archive/format/record.ts';
import { packWith } from '../../../src/archive/pack/pack.ts';
import type { PackProgress } from '../../../src/archive/types.ts';
import { makeRandomTree, snapshotTree } from '../../support/tree.ts';
import { noise, PACK_OPTIONS, packBytes, SEAL, startPacking } from '../packing.ts';
import { COMPRESSIONS, LIMITS, ROOT, temporaryDir, unpackBytes } from '../unpacking.ts';
import { containerFor } from '../../../src/archive/format/containers.ts';

const EXPECTED = { keyDigest: SEAL.keyDigest, recipe: SEAL.recipe, runtime: SEAL.runtime };
const MEBIBYTE = 1024 * 1024;

describe.each(COMPRESSIONS)('packing with %s', (compression) => {
  it('writes the same bytes whatever the number of workers', async () => {
    const dir = largeTree();
    const expected = await packBytes({ dir, compression });
    for (const workers of [1, 2, 5])
      expect(sha256(await packBytes({ dir, compression, workers }))).toBe(sha256(expected));
  });

  it('writes the same bytes in whatever order the tree was made', async () => {
    const names = ['b.js', 'a.js', 'lib/z.js', 'lib/a.js', 'c/d/e.js', 'é.js'];
    const [one, other] = [names, names.toReversed()].map((order) => {
      const dir = tree(Object.fromEntries(order.map((name) => [name, name])));
      symlinkSync('a.js', join(dir, ROOT, 'link'));
      const all = (readdirSync(join(dir, ROOT), { recursive: true }) as string[]).filter(
        (name) => name !== 'link',
      );
      for (const name of ['', ...all]) utimesSync(join(dir, ROOT, name), 1_600_000_000, 1_600_000_000);
      lutimesSync(join(dir, ROOT, 'link'), 1_600_000_000, 1_600_000_000);
      return dir;
    });
    const bytes = await packBytes({ dir: one!, compression });
    expect(sha256(await packBytes({ dir: other!, compression }))).toBe(sha256(bytes));
  });

  it('gives back every byte, and sums up what it wrote', async () => {
    const dir = largeTree();
    const { body, summary } = startPacking({ dir, compression });
    const chunks: Uint8Array[] = [];
    for await (const chunk of body) chunks.push(chunk);
    const bytes = Buffer.concat(chunks);

    const unpacked = await unpackBytes(bytes, {
      compression,
      dir: join(dir, 'out'),
      mustBeOurs: true,
      expected: EXPECTED,
    });
    expect(snapshotTree(join(dir, 'out'))).toEqual(snapshotTree(join(dir, ROOT)));
    expect(await summary).toEqual({
      files: Object.keys(snapshotTree(join(dir, ROOT))).length + 1,
      bytes: unpacked.bytes,
      storedBytes: bytes.length,
    });
  });

  it('reports progress that grows to the bytes of all files, each once', async () => {
    const dir = largeTree();
    const entries = Object.values(snapshotTree(join(dir, ROOT)));
    const seen: PackProgress[] = [];
    await packBytes({ dir, compression, onProgress: (progress) => seen.push(progress) });
    const [first] = seen;
    expect(seen.length).toBeGreaterThan(2);
    for (const [n, progress] of seen.entries()) {
      expect(progress.bytes).toBeGreaterThanOrEqual(seen[n - 1]?.bytes ?? 0);
      expect(progress.total).toBe(first!.total);
    }
    const total = entries.reduce(
      (sum, { size = 0, sameFileAs }) => sum + (sameFileAs === undefined ? size : 0),
      0,
    );
    expect(seen.at(-1)).toEqual({ bytes: total, total, files: entries.length + 1 });
  });

  it('ends with a trailer that says what the entry is', async () => {
    const dir = tree({ 'a.txt': 'hello' });
    const bytes = await packBytes({ dir, compression });
    const container = containerFor(compression);
    const frame = container.decodeFrame(bytes.subarray(bytes.length - container.trailerFrameLength));
    if (typeof frame !== 'object') throw new Error('no trailer');
    expect(decodeRecord(frame.record)).toMatchObject({
      kind: 'trailer',
      members: 2,
      entries: 2,
      recipe: 'npm',
      runtime: 'linux-x64-node115',
      installMs: 12_500,
      keyDigest: Buffer.from(SEAL.keyDigest, 'hex'),
      signature: undefined,
    });
  });
});

describe('what is packed', () => {
  it('is all roots but what is excluded, directories that match as a whole', async () => {
    const dir = tree({
      'keep/a.js': '1',
      '.cache/x/y.js': '2',
      'pkg/cache/one.gem': '3',
      'pkg/cache/two.txt': '4',
      'pkg+(1)/cache/three.gem': '5',
      'ünï/drop.me': '6',
    });
    const bytes = await packBytes({
      dir,
      excludes: [`${ROOT}/.cache`, `${ROOT}/*/cache/*.gem`, `${ROOT}/ünï/drop.*`, 'keep'],
    });
    expect(names(bytes)).toEqual(
      [
        '',
        'keep/',
        'keep/a.js',
        'pkg+(1)/',
        'pkg+(1)/cache/',
        'pkg/',
        'pkg/cache/',
        'pkg/cache/two.txt',
        'ünï/',
      ]
        .map((name) => `${ROOT}/${name}`)
        .sort(),
    );
  });

  it('is each directory once, even when it is named twice or inside another', async () => {
    const dir = tree({ 'a/b.js': '1' });
    const bytes = await packBytes({ dir, roots: [ROOT, `${ROOT}/a`, ROOT] });
    expect(names(bytes)).toEqual([`${ROOT}/`, `${ROOT}/a/`, `${ROOT}/a/b.js`]);
  });

  it('is the directory behind a root that is a symlink', async () => {
    const dir = temporaryDir();
    mkdirSync(join(dir, 'elsewhere'));
    writeFileSync(join(dir, 'elsewhere/a.js'), '1');
    symlinkSync('elsewhere', join(dir, ROOT));
    expect(names(await packBytes({ dir }))).toEqual([`${ROOT}/`, `${ROOT}/a.js`]);
  });

  it('leaves out sockets, as tar does', async () => {
    const dir = tree({ 'a.js': '1' });
    const server = createServer().listen(join(dir, ROOT, 'daemon.sock'));
    await new Promise((resolve) => server.once('listening', resolve));
    try {
      expect(names(await packBytes({ dir }))).toEqual([`${ROOT}/`, `${ROOT}/a.js`]);
    } finally {
      server.close();
    }
  });

  it('has no setuid, setgid or sticky bits', async () => {
    const dir = tree({ 'a.js': '1' });
    chmodSync(join(dir, ROOT, 'a.js'), 0o6755);
    chmodSync(join(dir, ROOT), 0o3775);
    const listed = execFileSync('tar', ['-tvzf', '-'], { input: await packBytes({ dir }), encoding: 'utf8' });
    expect(listed).toMatch(/^-rwxr-xr-x .*a\.js$/m);
    expect(listed).toMatch(/^drwxrwxr-x .*node_modules\/$/m);
  });

  it('is nothing but zeros where a sparse file has a hole', async () => {
    const dir = tree({ sparse: 'begin' });
    const path = join(dir, ROOT, 'sparse');
    truncateSync(path, 5 * MEBIBYTE);
    appendFileSync(path, 'end');
    const bytes = await packBytes({ dir });
    expect(bytes.length).toBeLessThan(100_000);
    await unpackBytes(bytes, { compression: 'gzip', dir: join(dir, 'out'), expected: EXPECTED });
    expect(snapshotTree(join(dir, 'out'))).toEqual(snapshotTree(join(dir, ROOT)));
  });

  it('is stored as it is where deflating would not make it smaller', async () => {
    const dir = tree({});
    const random = noise(5, 3 * MEBIBYTE);
    writeFileSync(join(dir, ROOT, 'random.bin'), random);
    const bytes = await packBytes({ dir });
    // A stored block holds the bytes themselves.
    expect(bytes.includes(random.subarray(2 * MEBIBYTE + 100_000, 2 * MEBIBYTE + 110_000))).toBe(true);
  });
});

describe('a tree that cannot be packed', () => {
  it.each([
    ['grows', (path: string) => appendFileSync(path, 'more')],
    ['shrinks', (path: string) => truncateSync(path, 3)],
    ['is written again', (path: string) => utimesSync(path, 1_600_000_000, 1_600_000_000)],
    ['becomes a directory', (path: string) => (rmSync(path), mkdirSync(path))],
    ['becomes a symlink', (path: string) => (rmSync(path), symlinkSync('a.js', path))],
    ['becomes a fifo', (path: string) => (rmSync(path), execFileSync('mkfifo', [path]))],
    ['vanishes', (path: string) => rmSync(path)],
    [
      'is written again, with its size and time put back',
      (path: string) => keepingTimes(path, writeFileSync),
    ],
    ['is replaced by one of the same size and time', (path: string) => keepingTimes(path, replace)],
  ])('says which file %s while it is packed', async (_, change) => {
    // The tree is walked before the first member comes; by then few members are read, and this one is the last.
    const dir = tree({ 'zz/last.js': 'console.log(1)' });
    for (let n = 0; n < 10; n++) writeFileSync(join(dir, ROOT, `aa${n}.bin`), noise(n, MEBIBYTE));
    const { body, summary } = startPacking({ dir });
    const failure = (async () => {
      let first = true;
      for await (const _chunk of body) {
        if (first) change(join(dir, ROOT, 'zz/last.js'));
        first = false;
      }
    })();
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      message: expect.stringContaining(`${ROOT}/zz/last.js`),
    });
    await expect(summary).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });

  it.each([
    ['added', 'new.js', (dir: string) => writeFileSync(join(dir, 'new.js'), '')],
    ['added below', 'zz', (dir: string) => mkdirSync(join(dir, 'zz/new'))],
    [
      'put in place of one that is read already',
      'aa0.bin',
      (dir: string) => keepingTimes(join(dir, 'aa0.bin'), replace),
    ],
    ['removed when it is read already', 'aa0.bin', (dir: string) => rmSync(join(dir, 'aa0.bin'))],
    [
      'moved to another directory',
      'aa0.bin',
      (dir: string) => renameSync(join(dir, 'aa0.bin'), join(dir, 'zz/aa0.bin')),
    ],
  ])('says which file was %s while the tree is packed', async (_, name, change) => {
    const dir = tree({ 'zz/last.js': 'console.log(1)' });
    writeFileSync(join(dir, ROOT, 'aa0.bin'), noise(1, 3 * MEBIBYTE));
    const failure = (async () => {
      let members = 0;
      for await (const _chunk of startPacking({ dir }).body) if (members++ === 2) change(join(dir, ROOT));
    })();
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      message: expect.stringContaining(name),
    });
  });

  it('does not mind what comes and goes among what is excluded', async () => {
    const dir = tree({ 'a.js': '1', '.cache/one': '' });
    const excludes = [`${ROOT}/.cache`, `${ROOT}/.sandbox-cache-*`];
    let members = 0;
    for await (const _chunk of startPacking({ dir, excludes }).body) {
      if (members++ > 0) continue;
      rmSync(join(dir, ROOT, '.cache'), { recursive: true });
      writeFileSync(join(dir, ROOT, '.sandbox-cache-receipt.json'), '');
    }
    expect(members).toBeGreaterThan(2);
  });

  it('says which file has a time that no archive can hold', async () => {
    const dir = tree({ 'late.js': '1' });
    utimesSync(join(dir, ROOT, 'late.js'), 10_000_000_000, 10_000_000_000);
    await expect(packBytes({ dir })).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringContaining(`${ROOT}/late.js has a time before 1684 or after 2255`),
    });
  });

  it('says when a large file changes between its pieces', async () => {
    const dir = tree({});
    const path = join(dir, ROOT, 'large.bin');
    writeFileSync(path, noise(1, 16 * MEBIBYTE));
    const failure = (async () => {
      let first = true;
      for await (const _chunk of startPacking({ dir }).body) {
        if (first) writeFileSync(path, noise(2, 16 * MEBIBYTE));
        first = false;
      }
    })();
    await expect(failure).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      message: expect.stringContaining('large.bin'),
    });
  });

  it('says which root is not there, or nothing that can be packed', async () => {
    const dir = tree({ 'a.js': '1' });
    await expect(packBytes({ dir, roots: ['missing'] })).rejects.toMatchObject({
      code: 'SOURCE_CHANGED',
      message: expect.stringContaining('missing'),
    });
    execFileSync('mkfifo', [join(dir, 'fifo')]);
    await expect(packBytes({ dir, roots: ['fifo'] })).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
    symlinkSync(`${ROOT}/a.js`, join(dir, 'link'));
    await expect(packBytes({ dir, roots: ['link'] })).rejects.toMatchObject({ code: 'SOURCE_UNREADABLE' });
  });

  it('says which fifo it met', async () => {
    const dir = tree({ 'a.js': '1' });
    execFileSync('mkfifo', [join(dir, ROOT, 'pipe')]);
    await expect(packBytes({ dir, workers: 1 })).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringContaining(`${ROOT}/pipe`),
      hint: expect.any(String),
    });
  });

  it.skipIf(process.getuid?.() === 0)('says which file it may not read', async () => {
    const dir = tree({ 'secret.js': '1' });
    chmodSync(join(dir, ROOT, 'secret.js'), 0);
    await expect(packBytes({ dir })).rejects.toMatchObject({
      code: 'SOURCE_UNREADABLE',
      message: expect.stringContaining(`${ROOT}/secret.js`),
    });
  });

  it.each([
    { recipe: 'x'.repeat(65) },
    { runtime: 'x'.repeat(129) },
    { recipe: 'two\nlines' },
    { runtime: 'a\0b' },
  ])('says that a name in the seal is none: %j', (name) => {
    const seal = { ...SEAL, ...name };
    expect(() => startPacking({ dir: '/', seal })).toThrow(
      expect.objectContaining({ code: 'CONFIG_INVALID' }),
    );
  });
});

describe('a tree that no restore would take', () => {
  const refusal = (text: string) => ({
    code: 'ARCHIVE_LIMIT',
    message: expect.stringContaining(text),
    hint: expect.stringContaining('Nothing was saved'),
  });

  /** Packs with these limits, and unpacks with the same: both ways have to agree. */
  async function roundTrip(dir: string, limits: Partial<typeof LIMITS>): Promise<void> {
    const both = { ...LIMITS, ...limits };
    const bytes = await packBytes({ dir, limits: both });
    const out = { compression: 'gzip', dir: join(temporaryDir(), 'out'), expected: EXPECTED } as const;
    await unpackBytes(bytes, { ...out, limits: both });
  }

  /** What is packed without a limit is refused with it. */
  async function restoreRefuses(dir: string, limits: Partial<typeof LIMITS>): Promise<void> {
    const bytes = await packBytes({ dir, limits: { ...LIMITS, maxRatio: 1e6 } });
    const out = { compression: 'gzip', dir: join(temporaryDir(), 'out'), expected: EXPECTED } as const;
    const unpacked = unpackBytes(bytes, { ...out, limits: { ...LIMITS, ...limits } });
    await expect(unpacked).rejects.toMatchObject({ code: 'ARCHIVE_LIMIT' });
  }

  it('has one entry too many: files, directories, links, and the root', async () => {
    const dir = tree({ 'a/one.js': '1', 'two.js': '2' });
    symlinkSync('two.js', join(dir, ROOT, 'link'));
    linkSync(join(dir, ROOT, 'two.js'), join(dir, ROOT, 'other'));
    await roundTrip(dir, { maxFiles: 6 });
    await restoreRefuses(dir, { maxFiles: 5 });
    const failure = packBytes({ dir, limits: { ...LIMITS, maxFiles: 5 } });
    await expect(failure).rejects.toMatchObject({ ...refusal('more than 5 entries'), hint: RAISE('FILES') });
  });

  it('has one byte too many; a file with two names counts once', async () => {
    const dir = tree({ 'one.js': '12345', 'two.js': '678' });
    linkSync(join(dir, ROOT, 'one.js'), join(dir, ROOT, 'again.js'));
    await roundTrip(dir, { maxBytes: 8 });
    await restoreRefuses(dir, { maxBytes: 7 });
    const failure = packBytes({ dir, limits: { ...LIMITS, maxBytes: 7 } });
    await expect(failure).rejects.toMatchObject({ ...refusal('more than 7 bytes'), hint: RAISE('BYTES') });
  });

  it('compresses better than an honest one', async () => {
    const dir = tree({ zeros: '' });
    truncateSync(join(dir, ROOT, 'zeros'), 66 * MEBIBYTE);
    await restoreRefuses(dir, { maxRatio: 200 });
    const failure = packBytes({ dir, limits: { ...LIMITS, maxRatio: 200 } });
    await expect(failure).rejects.toMatchObject({ ...refusal('more than 200'), hint: RAISE('RATIO') });
    await roundTrip(dir, { maxRatio: 2000 });
  });

  it('is deeper than a restore goes', async () => {
    const below = (depth: number): string => Array.from({ length: depth - 1 }, () => 'd').join('/');
    await roundTrip(tree({ [`${below(500)}/file`]: '1' }), {});
    const dir = tree({ [`${below(501)}/file`]: '1' });
    await expect(packBytes({ dir })).rejects.toMatchObject(refusal('500 directories in each other'));
  });

  it('has more members than a restore counts: told before a byte is read', async () => {
    const dir = tree({ sparse: '' });
    truncateSync(join(dir, ROOT, 'sparse'), 200_001 * 2 * MEBIBYTE);
    const { body } = startPacking({ dir, limits: { ...LIMITS, maxBytes: 1e12 } });
    const sent: Uint8Array[] = [];
    const failure = (async () => {
      for await (const chunk of body) sent.push(chunk);
    })();
    await expect(failure).rejects.toMatchObject(refusal('bytes'));
    expect(sent).toEqual([]);
  });
});

const RAISE = (what: string): unknown => expect.stringContaining(`raise CACHE_MAX_${what} `);

describe('stopping', () => {
  it('rejects with the reason of the signal, wherever packing is', async () => {
    const dir = largeTree();
    for (const after of [0, 1, 3]) {
      const controller = new AbortController();
      const reason = new Error('enough');
      if (after === 0) controller.abort(reason);
      const { body, summary } = startPacking({ dir, workers: 2, signal: controller.signal });
      let seen = 0;
      const failure = (async () => {
        for await (const _chunk of body) if (++seen === after) controller.abort(reason);
      })();
      await expect(failure).rejects.toBe(reason);
      await expect(summary).rejects.toBe(reason);
      expect(seen).toBe(after);
    }
  });

  it('lets go of all it has when nobody wants more, and says so in the summary', async () => {
    const dir = largeTree();
    const idle = busyThreads();
    const { body, summary } = startPacking({ dir, workers: 2 });
    for await (const _chunk of body) break;
    await expect(summary).rejects.toThrow('stopped');
    expect(busyThreads()).toBe(idle);
  });

  it('leaves no file open: at its end, when it is stopped, and when it fails', async () => {
    const dir = largeTree();
    const before = openFiles();
    await packBytes({ dir });
    for await (const _chunk of startPacking({ dir }).body) break;
    const failing = startPacking({ dir });
    await expect(
      (async () => {
        let first = true;
        for await (const _chunk of failing.body) {
          if (first) truncateSync(join(dir, ROOT, 'large.txt'), 1);
          first = false;
        }
      })(),
    ).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
    expect(openFiles()).toEqual(before);
  });

  it('begins nothing before somebody asks', async () => {
    let pools = 0;
    const open = (): never => {
      pools++;
      throw new Error('a pool was opened');
    };
    const { body, summary } = packWith(open, { ...PACK_OPTIONS, dir: '/nowhere' });
    expect(pools).toBe(0);
    await body[Symbol.asyncIterator]().return?.();
    await expect(summary).rejects.toThrow('stopped');
    expect(pools).toBe(0);
    const asked = packWith(open, { ...PACK_OPTIONS, dir: '/nowhere' });
    asked.summary.catch(() => {});
    await expect(asked.body[Symbol.asyncIterator]().next()).rejects.toThrow('a pool was opened');
  });

  it('waits for a reader who takes his time', async () => {
    const dir = tree({});
    for (let n = 0; n < 40; n++) writeFileSync(join(dir, ROOT, `${n}.bin`), noise(n, MEBIBYTE));
    const { body } = startPacking({ dir });
    const iterator = body[Symbol.asyncIterator]();
    await iterator.next();
    // Two jobs may be under way with this pool: what else changes now is noticed only because it has not been read.
    writeFileSync(join(dir, ROOT, '39.bin'), 'late');
    await expect(
      (async () => {
        for (let step = await iterator.next(); step.done !== true; step = await iterator.next());
      })(),
    ).rejects.toMatchObject({ code: 'SOURCE_CHANGED' });
  });
});

/** Some members, a file in pieces, links of both kinds, names that are not UTF-8. */
function largeTree(): string {
  const dir = temporaryDir();
  makeRandomTree(join(dir, ROOT), { seed: 4, files: 400 });
  const large = Buffer.concat(Array.from({ length: 5 }, (_, n) => Buffer.alloc(MEBIBYTE, `piece ${n} `)));
  writeFileSync(join(dir, ROOT, 'large.txt'), large);
  writeFileSync(join(dir, ROOT, 'large.bin'), noise(9, 3 * MEBIBYTE + 17));
  writeFileSync(Buffer.concat([Buffer.from(join(dir, ROOT, 'caf')), Buffer.from([0xe9])]), 'latin');
  linkSync(join(dir, ROOT, 'large.bin'), join(dir, ROOT, 'zz-link'));
  expect(lstatSync(join(dir, ROOT, 'large.bin')).nlink).toBe(2);
  return dir;
}

function tree(files: Record<string, string>): string {
  const dir = temporaryDir();
  mkdirSync(join(dir, ROOT));
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(dir, ROOT, path, '..'), { recursive: true });
    writeFileSync(join(dir, ROOT, path), content);
  }
  return dir;
}

function names(bytes: Buffer): string[] {
  const listed = execFileSync('tar', ['--quoting-style=literal', '-tzf', '-'], {
    input: bytes,
    encoding: 'utf8',
  });
  return listed.trimEnd().split('\n').sort();
}

function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex');
}

/** Puts other bytes of the same length there, under the times of those before. */
function keepingTimes(path: string, write: (path: string, bytes: Buffer) => void): void {
  const { atime, mtime } = lstatSync(path);
  write(path, Buffer.alloc(readFileSync(path).length, 'other'));
  utimesSync(path, atime, mtime);
}

function replace(path: string, bytes: Buffer): void {
  writeFileSync(`${path}.new`, bytes);
  renameSync(`${path}.new`, path);
}

/** Worker threads of this process that have not ended. */
function busyThreads(): number {
  return process.getActiveResourcesInfo().filter((name) => name === 'MessagePort' || name === 'Worker')
    .length;
}

/** What the descriptors of this process lead to, pipes and sockets of the test runner left out. */
function openFiles(): string[] {
  return readdirSync('/proc/self/fd')
    .map((fd) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return '';
      }
    })
    .filter((path) => path.includes('sandbox-cache-archive-'))
    .sort();
}
