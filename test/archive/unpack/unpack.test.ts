/** How unpacking ends when something else goes wrong, and what it says on the way. */
import { execFileSync } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { describe, expect, it } from 'vitest';
import { CacheError } from '../../../src/errors.ts';
import type { ListedMember } from '../../../src/archive/read/list.ts';
import { createPool } from '../../../src/archive/workers/pool.ts';
import { createChecker, createSigner, generateKeys, statement } from '../../../src/archive/signature.ts';
import type { Compression, Progress } from '../../../src/archive/types.ts';
import { unpackWith } from '../../../src/archive/unpack/unpack.ts';
import { makeRandomTree, randomSource, snapshotTree } from '../../support/tree.ts';
import { isRoot } from '../../support/user.ts';
import { FORGED_KEY, forge, treeMembers } from '../forge.ts';
import { rawHeader, rawTar } from '../tar-blocks.ts';
import {
  COMPRESSIONS,
  inChunks,
  listBytes,
  optionsFor,
  ROOT,
  temporaryDir,
  unpackBytes,
  workerEntry,
} from '../unpacking.ts';

function soundArchive(files = 60): { base: string; bytes: Buffer } {
  const base = temporaryDir();
  makeRandomTree(join(base, ROOT), { seed: 21, files, maxSize: 4096 });
  writeFileSync(join(base, ROOT, 'large'), randomSource(5).bytes(50_000));
  return { base, bytes: forge(treeMembers(base, ROOT, 8192), { compression: 'gzip' }) };
}

describe('stopping', () => {
  it("rejects with the signal's reason while the source is silent, and lets the source go", async () => {
    const { base, bytes } = soundArchive();
    const reason = new CacheError('INTERRUPTED', 'stopped by a signal');
    const stop = new AbortController();
    let released = false;
    const source: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => {
        let first = true;
        return {
          next() {
            if (!first) {
              setImmediate(() => stop.abort(reason));
              return new Promise(() => {});
            }
            first = false;
            return Promise.resolve({ done: false, value: bytes.subarray(0, bytes.length >> 1) });
          },
          async return() {
            released = true;
            return { done: true, value: undefined };
          },
        };
      },
    };
    const pool = createPool({ size: 2, entry: workerEntry() });
    try {
      const options = optionsFor({ compression: 'gzip', dir: join(base, 'out'), signal: stop.signal });
      await expect(unpackWith(pool, source, options)).rejects.toBe(reason);
      expect(released).toBe(true);
    } finally {
      await pool.close();
    }
  });

  it('does not begin when the signal has gone off before', async () => {
    const { base, bytes } = soundArchive();
    const reason = new CacheError('TIMEOUT', 'too late');
    const unpacked = unpackBytes(bytes, {
      compression: 'gzip',
      dir: join(base, 'out'),
      signal: AbortSignal.abort(reason),
    });
    await expect(unpacked).rejects.toBe(reason);
    expect(existsSync(join(base, 'out'))).toBe(false);
  });

  it('rejects with what the source throws', async () => {
    const { base, bytes } = soundArchive();
    const failure = new CacheError('STORE_STALLED', 'nothing came');
    async function* failing(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, 20_000);
      throw failure;
    }
    const pool = createPool({ size: 1, entry: workerEntry() });
    try {
      const options = optionsFor({ compression: 'gzip', dir: join(base, 'out') });
      await expect(unpackWith(pool, failing(), options)).rejects.toBe(failure);
      async function* foreign(): AsyncGenerator<Uint8Array> {
        yield rawTar({ path: 'node_modules/a', data: 'x' }).subarray(0, 600);
        throw failure;
      }
      const plain = optionsFor({ compression: 'none', dir: join(base, 'out2') });
      await expect(unpackWith(pool, foreign(), plain)).rejects.toBe(failure);
    } finally {
      await pool.close();
    }
  });

  it('rejects when a worker dies in the middle of its work', async () => {
    const { base, bytes } = soundArchive();
    const entry = join(base, 'dies.mjs');
    writeFileSync(
      entry,
      `import { parentPort } from 'node:worker_threads'; parentPort.on('message', () => process.exit(7));`,
    );
    const pool = createPool({ size: 2, entry: pathToFileURL(entry) });
    try {
      const options = optionsFor({ compression: 'gzip', dir: join(base, 'out') });
      const unpacked = unpackWith(pool, inChunks(bytes, 1000), options);
      await expect(unpacked).rejects.toMatchObject({ code: 'WORKER_DIED' });
    } finally {
      await pool.close();
    }
  });
});

describe('a target that cannot be written', () => {
  it('is named, with what to do', async () => {
    const { base, bytes } = soundArchive();
    const unpacked = unpackBytes(bytes, { compression: 'gzip', dir: join(base, 'missing', 'out') });
    await expect(unpacked).rejects.toMatchObject({
      code: 'TARGET_UNWRITABLE',
      message: expect.stringContaining(ROOT),
    });
  });

  it('is full: a code of its own', async (context) => {
    const { base, bytes } = soundArchive();
    const full = join(base, 'full');
    mkdirSync(full);
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'none', full], { stdio: 'ignore' });
    } catch {
      context.skip('mounting a small file system takes root');
    }
    try {
      for (const workers of [0, 2]) {
        const unpacked = unpackBytes(bytes, { compression: 'gzip', dir: join(full, 'out'), workers });
        await expect(unpacked).rejects.toMatchObject({
          code: 'DISK_FULL',
          hint: expect.stringContaining('space'),
        });
        rmSync(join(full, 'out'), { recursive: true });
      }
    } finally {
      execFileSync('umount', [full]);
    }
  });
});

// Root may look into any directory.
it.runIf(!isRoot())('a directory that nobody may look into comes with what is in it', async () => {
  const dirs = ['', 'a/', 'a/b/', 'a/b/c/'];
  const archive = rawTar(
    ...dirs.map((path) => ({ type: '5', path: `${ROOT}/${path}`, mode: path === '' ? 0o755 : 0o400 })),
  );
  const dir = join(temporaryDir(), 'out');
  await unpackBytes(archive, { compression: 'none', dir });
  for (const path of dirs.slice(1)) {
    expect(statSync(join(dir, path)).mode & 0o777).toBe(0o400);
    chmodSync(join(dir, path), 0o755);
  }
});

describe('what it tells', () => {
  it('reports progress that grows to the whole, and a summary', async () => {
    const { base, bytes } = soundArchive();
    const seen: Progress[] = [];
    const summary = await unpackBytes(bytes, {
      compression: 'gzip',
      dir: join(base, 'out'),
      chunk: 5000,
      onProgress: (progress) => seen.push(progress),
    });
    expect(seen.length).toBeGreaterThan(5);
    for (const [n, progress] of seen.entries())
      expect(progress.bytes).toBeGreaterThanOrEqual(seen[n - 1]?.bytes ?? 0);
    expect(seen.at(-1)!.files).toBe(summary.files);
    expect(summary).toMatchObject({
      installSeconds: 1.5,
      isOurs: true,
      roots: [ROOT],
      storedBytes: bytes.length,
    });
  });

  it('leaves the umask as it was', async () => {
    const { base, bytes } = soundArchive();
    const before = process.umask();
    await unpackBytes(bytes, { compression: 'gzip', dir: join(base, 'out') });
    expect(process.umask()).toBe(before);
    expect(statSync(join(base, 'out')).isDirectory()).toBe(true);
  });
});

describe('signatures', () => {
  const { signingKey, verifyKey } = generateKeys();
  const seal = { keyDigest: FORGED_KEY, recipe: 'npm', runtime: 'linux-x64-node115' };
  const signedBy = (key: string, base: string): Buffer =>
    forge(treeMembers(base, ROOT, 8192), {
      compression: 'gzip',
      trailer: ({ rootDigest }) => ({ signature: createSigner(key)(statement(seal, rootDigest)) }),
    });

  it('right: unpacked; missing, by another, or over something else: refused', async () => {
    const { base, bytes } = soundArchive();
    const checkSignature = createChecker(verifyKey);
    await unpackBytes(signedBy(signingKey, base), {
      compression: 'gzip',
      dir: join(base, 'right'),
      checkSignature,
    });
    const other = forge(treeMembers(base, ROOT, 8192), {
      compression: 'gzip',
      trailer: () => ({ signature: createSigner(signingKey)(statement(seal, Buffer.alloc(32))) }),
    });
    for (const [n, wrong] of [bytes, signedBy(generateKeys().signingKey, base), other].entries()) {
      const unpacked = unpackBytes(wrong, { compression: 'gzip', dir: join(base, `${n}`), checkSignature });
      await expect(unpacked, `${n}`).rejects.toMatchObject({ code: 'ARCHIVE_UNTRUSTED' });
    }
  });

  it('a foreign archive has none', async () => {
    const dir = join(temporaryDir(), 'out');
    const unpacked = unpackBytes(rawTar({ path: 'node_modules/a', data: 'x' }), {
      compression: 'none',
      dir,
      checkSignature: createChecker(verifyKey),
    });
    await expect(unpacked).rejects.toMatchObject({ code: 'ARCHIVE_UNTRUSTED' });
  });
});

describe('list', () => {
  const listed = (bytes: Buffer, compression: Compression): Promise<ListedMember[]> =>
    listBytes(bytes, { compression, chunk: 3000 });

  it.each(COMPRESSIONS)('tells of every entry, with %s, ours or not', async (compression) => {
    const { base } = soundArchive();
    const members = treeMembers(base, ROOT, 8192);
    const ours = await listed(forge(members, { compression }), compression);
    const tree = snapshotTree(join(base, ROOT));
    expect(ours.map(({ path }) => path.replace(/\/$/, '')).sort()).toEqual(
      [ROOT, ...Object.keys(tree).map((path) => `${ROOT}/${path}`)].sort(),
    );
    const foreign = await listed(Buffer.concat(members.map(({ tar }) => tar)), 'none');
    expect(foreign).toEqual(ours);
    const large = ours.find(({ path }) => path.endsWith('/large'))!;
    expect(large).toMatchObject({
      type: 'file',
      size: 50_000,
      mode: statSync(join(base, ROOT, 'large')).mode & 0o777,
    });
    expect(readFileSync(join(base, ROOT, 'large')).length).toBe(large.size);
  });

  it('notices a changed member', async () => {
    const { bytes } = soundArchive();
    bytes[bytes.length >> 1]! ^= 1;
    await expect(listed(bytes, 'gzip')).rejects.toMatchObject({ code: 'ARCHIVE_CORRUPT' });
  });

  it('ends at once where a header announces more than the limit', async () => {
    const bytes = rawHeader({ path: 'node_modules/a', size: 0o77777777777 });
    await expect(listed(bytes, 'none')).rejects.toMatchObject({ code: 'ARCHIVE_LIMIT' });
  });
});
