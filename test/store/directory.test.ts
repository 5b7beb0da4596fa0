import { randomBytes } from 'node:crypto';
import {
  chmod,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CacheEvent } from '../../src/events.ts';
import { createDirectoryStore } from '../../src/store/directory.ts';
import type { Store } from '../../src/store/store.ts';
import { describeStoreContract, keysOf, pieces, present, readAll } from './contract.ts';

const { signal } = new AbortController();
const keep = { ifExists: 'keep', metadata: {}, signal } as const;

let dir: string;
let events: CacheEvent[];
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sandbox-cache-store-'));
  events = [];
});
const stores: Store[] = [];
afterEach(async () => {
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
    const store = openStore(3500);
    for (const [index, key] of ['a', 'b', 'c'].entries()) {
      await save(store, key, 1000);
      await lastUsed(index, key);
    }
    await present(store, 'a').then(readAll);
    await save(store, 'd', 1000);
    expect(await keysOf(store, '')).toEqual(['a', 'c', 'd']);
    expect(await readdir(join(dir, '.sandbox-cache', 'entries'))).toHaveLength(3);
    expect(events).toEqual([{ type: 'step', text: expect.stringContaining('b') }]);
  });

  it('keeps the newest, even one that is too large, and says so', async () => {
    const store = openStore(3500);
    await save(store, 'a', 1000);
    await save(store, 'b', 9000);
    expect(await keysOf(store, '')).toEqual(['b']);
    expect(events.at(-1)).toMatchObject({
      type: 'warning',
      hint: expect.stringContaining('CACHE_LOCAL_MAX_SIZE'),
    });
  });

  async function lastUsed(seconds: number, key: string): Promise<void> {
    const { etag } = (await openStore().stat(key, { signal }))!;
    const time = new Date(Date.UTC(2020, 0, 1, 0, 0, seconds));
    await utimes(join(dir, '.sandbox-cache', 'entries', `${etag}.json`), time, time);
  }
});

describe('what dead writers left', () => {
  it('goes with the next save; what a live one writes stays', async () => {
    const store = openStore();
    await save(store, 'a', 10);
    const temporary = join(dir, '.sandbox-cache', 'temporary');
    const sidecars = join(dir, '.sandbox-cache', 'entries');
    const old = new Date(Date.now() - 2 * 3_600_000);
    for (const path of [join(temporary, 'dead'), join(sidecars, 'dead.json'), join(temporary, 'live')]) {
      await writeFile(path, '{}');
      if (!path.endsWith('live')) await utimes(path, old, old);
    }
    await save(store, 'b', 10);
    expect(await readdir(temporary)).toEqual(['live']);
    expect(await readdir(sidecars)).toHaveLength(2);
  });
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
