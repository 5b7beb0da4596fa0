import { execFileSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  chmod,
  chown,
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import type { CacheEvent } from '../../../src/events.ts';
import { createDirectoryStore } from '../../../src/store/local/local-store.ts';
import {
  identityOf,
  sidecarFolder,
  sidecarPath,
  temporaryFolder,
  temporaryPath,
} from '../../../src/store/local/layout.ts';
import { writeSidecar } from '../../../src/store/local/sidecar.ts';
import { tidy } from '../../../src/store/local/upkeep.ts';
import type { Store } from '../../../src/store/store.ts';
import { describeStoreContract, keysOf, pieces, present, readAll } from '../contract.ts';

const { signal } = new AbortController();
const keep = { ifExists: 'keep', metadata: {}, signal } as const;
/** Of an entry in tests of the size limit: whole blocks of every usual file system. */
const SIZE = 64 * 1024;

let dir: string;
let events: CacheEvent[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sandbox-cache-store-'));
  events = [];
});
const stores: Store[] = [];
const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) server.close();
  for (const store of stores.splice(0)) store.close();
  await rm(dir, { recursive: true, force: true });
});

function openStore(maxSizeBytes = 1e9, at = dir): Store {
  const store = createDirectoryStore({ dir: at, maxSizeBytes, emit: (event) => events.push(event) });
  stores.push(store);
  return store;
}

function save(store: Store, key: string, size: number): Promise<unknown> {
  return store.write(key, pieces(randomBytes(size), 1000), keep);
}

describe('the contract', () => {
  describeStoreContract(async () => ({
    store: openStore(),
    prefix: '',
    another: async () => openStore(),
    leftovers: async () => (await readdir(join(dir, '.sandbox-cache', 'temporary'))).length,
    oneWinner: { small: true, large: true },
    marksWrites: false,
    close: async () => expect(events).toEqual([]),
  }));
});

describe('an entry', () => {
  it('is a file of its own, at the place that its key names', async () => {
    const store = openStore();
    const data = randomBytes(5000);
    await store.write('cache/npm-1.tar.gz', pieces(data, 1000), keep);
    expect(store.url('cache/npm-1.tar.gz')).toBe(join(dir, 'cache', 'npm-1.tar.gz'));
    expect(await readFile(join(dir, 'cache', 'npm-1.tar.gz'))).toEqual(data);
    expect((await stat(join(dir, 'cache', 'npm-1.tar.gz'))).mode & 0o777).toBe(0o644);
  });

  it.each([
    '../escape',
    'a/../../escape',
    '/etc/escape',
    'a//b',
    './x',
    'a/',
    '.sandbox-cache/temporary/x',
    'nul\0l',
  ])('never lies outside the directory, nor among our own files: "%s"', async (key) => {
    const inner = join(dir, 'inner');
    await mkdir(inner);
    const store = openStore(1e9, inner);
    await save(store, key, 10);
    expect(await readdir(dir)).toEqual(['inner']);
    expect(await readdir(join(inner, '.sandbox-cache', 'temporary'))).toEqual([]);
    expect(await keysOf(store, '')).toEqual([key]);
  });

  it('without what travelled with it is an entry all the same', async () => {
    const store = openStore();
    await save(store, 'a.tar', 100);
    const [name = ''] = await readdir(join(dir, '.sandbox-cache', 'entries'));
    for (const content of ['', '{"a', 'null']) {
      await writeFile(join(dir, '.sandbox-cache', 'entries', name), content);
      expect((await present(store, 'a.tar')).info.size).toBe(100);
    }
    await rm(join(dir, '.sandbox-cache'), { recursive: true });
    expect((await present(store, 'a.tar')).metadata).toEqual({});
  });

  it('put there by hand restores too, and has another ETag when it is changed by hand', async () => {
    const store = openStore();
    await writeFile(join(dir, 'by-hand.tar'), 'content');
    const entry = await present(store, 'by-hand.tar');
    expect(String(await readAll(entry))).toBe('content');
    await writeFile(join(dir, 'by-hand.tar'), 'changed');
    expect((await store.stat('by-hand.tar', { signal }))?.etag).not.toBe(entry.info.etag);
  });

  it('that shrinks while it is read is an error, not a short entry', async () => {
    const store = openStore();
    await save(store, 'a.tar', 3_000_000);
    const reading = async (): Promise<void> => {
      for await (const _ of (await present(store, 'a.tar')).body)
        await truncate(join(dir, 'a.tar'), 1_100_000);
    };
    await expect(reading()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('shorter'),
    });
  });

  it('may be removed while it is read', async () => {
    const store = openStore();
    await save(store, 'a.tar', 3_000_000);
    const entry = await present(store, 'a.tar');
    await store.remove('a.tar', { signal });
    expect((await readAll(entry)).length).toBe(3_000_000);
  });

  it('is no directory', async () => {
    const store = openStore();
    await save(store, 'a/b.tar', 10);
    expect(await store.stat('a', { signal })).toBeUndefined();
    expect(await store.open('a', { signal })).toBeUndefined();
    await expect(save(store, 'a/b.tar/c', 10)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      hint: expect.stringContaining(dir),
    });
  });
});

describe('the size limit', () => {
  it('lets go of what was used longest ago', async () => {
    const store = openStore(3.5 * SIZE);
    for (const [index, key] of ['a', 'b', 'c'].entries()) {
      await save(store, key, SIZE);
      await lastUsed(index, key);
    }
    await present(store, 'a').then(readAll);
    await save(store, 'd', SIZE);
    expect(await keysOf(store, '')).toEqual(['a', 'c', 'd']);
    expect(await readdir(sidecarFolder(dir))).toHaveLength(3);
    expect(events).toEqual([{ type: 'step', text: expect.stringContaining('b') }]);
  });

  it('keeps the newest, even one that is too large, and says so', async () => {
    const store = openStore(3.5 * SIZE);
    await save(store, 'a', SIZE);
    await save(store, 'b', 9 * SIZE);
    expect(await keysOf(store, '')).toEqual(['b']);
    expect(events.at(-1)).toMatchObject({
      type: 'warning',
      hint: expect.stringContaining('CACHE_LOCAL_MAX_SIZE'),
    });
  });

  it('neither counts nor deletes what others keep there, whatever it is called', async () => {
    await openStore().write('cache/mine.tar', pieces(randomBytes(SIZE), SIZE), keep);
    const theirs = ['database.dump', 'backups/x', 'cache/npm-0123456789abcdef-linux-x64-node115.tar.gz'];
    await mkdir(join(dir, 'backups'));
    for (const path of theirs) await writeFile(join(dir, path), randomBytes(10 * SIZE));
    // An entry that somebody moved is theirs as well.
    await openStore().write('moved.tar', pieces(randomBytes(10 * SIZE), SIZE), keep);
    await rename(join(dir, 'moved.tar'), join(dir, 'kept.tar'));
    const sparse = await open(join(dir, 'vm.img'), 'w');
    await sparse.truncate(12e9);
    await sparse.close();

    await save(openStore(2.5 * SIZE), 'second.tar', SIZE);
    expect(await keysOf(openStore(), 'cache/mine')).toEqual(['cache/mine.tar']);
    await save(openStore(2.5 * SIZE), 'third.tar', SIZE);
    expect(await keysOf(openStore(), 'cache/mine')).toEqual([]);
    for (const path of [...theirs, 'kept.tar', 'vm.img']) await stat(join(dir, path));
  });

  it('believes no sidecar that somebody else wrote about a file', async () => {
    // Root may give files away; others cannot make this scene.
    if (process.getuid?.() !== 0) return;
    const path = join(dir, 'database.dump');
    await writeFile(path, randomBytes(10 * SIZE));
    await save(openStore(), 'a', SIZE);
    const etag = identityOf(await stat(path, { bigint: true }));
    await writeSidecar(dir, etag, { key: 'database.dump', metadata: {}, mode: 0o644 });
    await chown(path, 65_534, 65_534);
    await save(openStore(2.5 * SIZE), 'b', SIZE);
    expect(await keysOf(openStore(), '')).toEqual(['a', 'b', 'database.dump']);
  });

  async function lastUsed(seconds: number, key: string): Promise<void> {
    const { etag } = (await openStore().stat(key, { signal }))!;
    const time = new Date(Date.UTC(2020, 0, 1, 0, 0, seconds));
    await utimes(sidecarPath(dir, etag), time, time);
  }
});

describe('what dead writers left', () => {
  it('is removed after an hour by the file system’s clock; what is not ours stays', async () => {
    await save(openStore(), 'a', 10);
    const dead = [temporaryPath(dir), sidecarPath(dir, 'dead-1-2')];
    const theirs = [join(temporaryFolder(dir), 'notes.txt'), join(sidecarFolder(dir), 'config.json')];
    for (const path of [...dead, ...theirs]) await writeFile(path, '{}');
    const files = async (): Promise<string[]> =>
      (await readdir(join(dir, '.sandbox-cache'), { recursive: true, withFileTypes: true }))
        .filter((entry) => entry.isFile())
        .map((entry) => join(entry.parentPath, entry.name));
    const before = await files();
    const { mtimeMs } = await stat(dead[0]!);
    const upkeep = { dir, maxSizeBytes: 1e9, kept: '' };
    await tidy({ ...upkeep, now: mtimeMs + 59 * 60_000 });
    expect(await files()).toEqual(before);
    await tidy({ ...upkeep, now: mtimeMs + 61 * 60_000 });
    expect(await files()).toEqual(before.filter((path) => !dead.includes(path)));
    expect(await keysOf(openStore(), '')).toEqual(['a']);
  });

  it('stays while the clock of this machine alone says that it is old', async () => {
    await save(openStore(), 'a', 10);
    const path = temporaryPath(dir);
    await writeFile(path, 'still being written');
    vi.useFakeTimers({ now: Date.now() + 2 * 3_600_000, toFake: ['Date'] });
    try {
      await save(openStore(), 'b', 10);
      expect(openStore().now()).toBeLessThan(Date.now() - 3_600_000);
    } finally {
      vi.useRealTimers();
    }
    await stat(path);
  });
});

describe('in the place of', () => {
  const makers: [string, (path: string) => Promise<unknown>][] = [
    ['a FIFO', async (path) => execFileSync('mkfifo', [path])],
    ['a symbolic link to a file', (path) => symlink('/etc/passwd', path)],
    ['a symbolic link to an endless device', (path) => symlink('/dev/zero', path)],
    ['a socket', (path) => listen(path)],
  ];

  it.each(makers)('an entry, %s is told, neither read nor waited for', async (_, make) => {
    const store = openStore();
    await save(store, 'cache/other', 10);
    await make(store.url('cache/a'));
    const error = { code: 'STORE_FAILED', message: expect.stringContaining(store.url('cache/a')) as string };
    await expect(store.open('cache/a', { signal })).rejects.toMatchObject(error);
    await expect(store.stat('cache/a', { signal })).rejects.toMatchObject(error);
    await expect(save(store, 'cache/a', 10)).rejects.toMatchObject(error);
    expect(await keysOf(store, '')).toEqual(['cache/other']);
    await store.write('cache/a', pieces(randomBytes(10), 10), { ...keep, ifExists: 'replace' });
    expect(await keysOf(store, '')).toEqual(['cache/a', 'cache/other']);
  });

  it.each(makers)('what travels with an entry, %s counts as nothing', async (_, make) => {
    const store = openStore();
    await store.write('a', pieces(randomBytes(10), 10), { ...keep, metadata: { recipe: 'npm' } });
    expect((await present(store, 'a')).metadata).toEqual({ recipe: 'npm' });
    const [name = ''] = await readdir(sidecarFolder(dir));
    await rm(join(sidecarFolder(dir), name));
    await make(join(sidecarFolder(dir), name));
    expect((await present(store, 'a')).metadata).toEqual({});
    await save(store, 'b', 10);
    expect(events).toEqual([]);
  });

  it.each(['.sandbox-cache', '.sandbox-cache/temporary', '.sandbox-cache/entries', 'cache'])(
    'the folder %s, a symbolic link leads nowhere',
    async (name) => {
      const elsewhere = join(dir, 'elsewhere');
      const inner = join(dir, 'store');
      await mkdir(elsewhere);
      const store = openStore(1, inner);
      await save(store, 'cache/a', 10);
      await rename(join(inner, name), join(elsewhere, 'moved'));
      await symlink(join(elsewhere, 'moved'), join(inner, name));
      const before = await readdir(elsewhere, { recursive: true });
      const refused = {
        code: 'STORE_FAILED',
        message: expect.stringContaining('is a symbolic link') as string,
      };
      await expect(save(store, 'cache/b', 10)).rejects.toMatchObject(refused);
      if (name === 'cache') {
        await expect(store.open('cache/a', { signal })).rejects.toMatchObject(refused);
        await expect(keysOf(store, 'cache/')).rejects.toMatchObject(refused);
        expect(await keysOf(store, '')).toEqual([]);
      }
      expect(await readdir(elsewhere, { recursive: true })).toEqual(before);
    },
  );

  it('a folder, one of another user is not used where only this user may make any', async () => {
    if (process.getuid?.() !== 0) return;
    await chmod(dir, 0o755);
    const store = openStore();
    await save(store, 'cache/a', 10);
    await chown(join(dir, '.sandbox-cache', 'temporary'), 65_534, 65_534);
    await expect(save(store, 'cache/b', 10)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('belongs to user 65534') as string,
    });
    await chmod(dir, 0o1777);
    await save(store, 'cache/b', 10);
  });

  async function listen(path: string): Promise<void> {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(path, resolve));
    server.unref();
    servers.push(server);
  }
});

describe('a directory that cannot be used', () => {
  it('because a file is in its place', async () => {
    await rm(dir, { recursive: true });
    await writeFile(dir, '');
    await expect(save(openStore(), 'a', 10)).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining(dir),
    });
  });

  it('because it is a dangling link', async () => {
    const linked = join(dir, 'linked');
    await symlink(join(dir, 'nowhere', 'at', 'all'), linked);
    const store = openStore(1, linked);
    await expect(save(store, 'a', 10)).rejects.toMatchObject({ code: expect.stringMatching(/^STORE_/) });
  });

  it.skipIf(process.getuid?.() === 0)('because it may not be written', async () => {
    await chmod(dir, 0o555);
    await expect(save(openStore(), 'a', 10)).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    await chmod(dir, 0o755);
  });

  it('because nothing is there yet: it is empty', async () => {
    await rm(dir, { recursive: true });
    expect(await keysOf(openStore(), '')).toEqual([]);
    expect(await openStore().open('a', { signal })).toBeUndefined();
    await openStore().remove('a', { signal });
  });
});
