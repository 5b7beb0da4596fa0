import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CacheEvent } from '../../src/events.ts';
import { createDirectoryStore } from '../../src/store/directory.ts';
import { createS3Store } from '../../src/store/s3/s3-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createTieredStore } from '../../src/store/tiered.ts';
import { startS3Server, type S3Server } from '../support/s3-server.ts';
import { describeStoreContract, pieces, present, readAll, sha256 } from './contract.ts';
import { s3Options } from './s3/subject.ts';

const { signal } = new AbortController();
const keep = { ifExists: 'keep', metadata: { recipe: 'npm' }, signal } as const;
const KEY = 'cache/npm-0123.tar.gz';

let dir: string;
let server: S3Server;
let events: CacheEvent[];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'sandbox-cache-tiered-'));
  server = await startS3Server();
  events = [];
});
afterEach(async () => {
  await server.close();
  await rm(dir, { recursive: true, force: true });
});

async function openStore(localDir = dir): Promise<Store> {
  const emit = (event: CacheEvent): unknown => events.push(event);
  return createTieredStore({
    local: createDirectoryStore({ dir: localDir, maxSizeBytes: 1e9, emit }),
    remote: await createS3Store(s3Options(server, { bucket: 'test-bucket' })),
    emit,
  });
}

describe('the contract', () => {
  describeStoreContract(async () => ({
    store: await openStore(),
    prefix: '',
    another: () => openStore(),
    leftovers: async () => {
      const temporary = await readdir(join(dir, '.sandbox-cache', 'temporary'));
      return temporary.length + server.bucket().uploads.size;
    },
    oneWinner: { small: true, large: true },
    close: async () => {},
  }));
});

describe('the copy', () => {
  const data = randomBytes(9_000_000);
  const requests = (): number => server.requests.length;

  it('made by a save serves the restore, without a request', async () => {
    const store = await openStore();
    await store.write(KEY, pieces(data, 100_000), keep);
    const before = requests();
    const entry = await present(store, KEY);
    expect(sha256(await readAll(entry))).toBe(sha256(data));
    expect(entry.metadata).toEqual(keep.metadata);
    expect(entry.from).toBe('local');
    expect(requests()).toBe(before);
    store.close();
  });

  it('made by a restore serves the next one', async () => {
    server.place('test-bucket', { key: KEY, body: data, metadata: keep.metadata });
    const store = await openStore();
    const original = await present(store, KEY);
    expect(original.from).toBe('s3');
    expect(sha256(await readAll(original))).toBe(sha256(data));
    const before = requests();
    const entry = await present(store, KEY);
    expect(sha256(await readAll(entry))).toBe(sha256(data));
    expect(entry.metadata).toEqual(keep.metadata);
    expect(requests()).toBe(before);
    store.close();
  });

  it('is not made of an entry that was not read to its end', async () => {
    server.place('test-bucket', { key: KEY, body: data });
    const store = await openStore();
    for await (const _ of (await present(store, KEY)).body) break;
    await (await present(store, KEY)).body[Symbol.asyncIterator]().return?.();
    expect((await readdir(dir)).filter((name) => name !== '.sandbox-cache')).toEqual([]);
    store.close();
  });

  it('is not made of an entry that broke off', async () => {
    server.place('test-bucket', { key: KEY, body: data });
    server.faults.add({
      match: ({ range }) => range !== 'bytes=0-8388607',
      times: 100,
      effect: { type: 'reset', responseBytes: 1000 },
    });
    const store = await openStore();
    await expect(readAll(await present(store, KEY))).rejects.toMatchObject({ code: 'STORE_UNREACHABLE' });
    expect((await readdir(dir)).filter((name) => name !== '.sandbox-cache')).toEqual([]);
    store.close();
  });

  it('is not made of a save that failed, nor of one that came second', async () => {
    const store = await openStore();
    const body = async function* () {
      yield data;
      throw new Error('changed');
    };
    await expect(store.write(KEY, body(), keep)).rejects.toThrow('changed');
    server.place('test-bucket', { key: KEY, body: data });
    expect(await store.write(KEY, pieces(data, 100_000), keep)).toEqual({ type: 'exists' });
    expect((await readdir(dir)).filter((name) => name !== '.sandbox-cache')).toEqual([]);
    store.close();
  });

  it('and its original are replaced together when the copy was found bad', async () => {
    const store = await openStore();
    await store.write(KEY, pieces(data, 100_000), keep);
    await truncate(join(dir, KEY), 5000);
    const { etag } = (await present(store, KEY)).info;
    // A truncated copy has lost what travelled with it: nothing is known of the original, which stays.
    expect(await store.write(KEY, pieces(data, 100_000), { ...keep, ifExists: { etag } })).toEqual({
      type: 'exists',
    });
    await store.remove(KEY, { signal, etag });
    expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));

    const good = (await present(store, KEY)).info.etag;
    const better = randomBytes(1000);
    const outcome = await store.write(KEY, pieces(better, 1000), { ...keep, ifExists: { etag: good } });
    expect(outcome.type).toBe('saved');
    expect(await readFile(join(dir, KEY))).toEqual(better);
    expect(server.read('test-bucket', KEY)).toEqual(better);
    store.close();
  });

  it.each([
    ['a file in the place of its directory', async () => writeFile(join(dir, 'cache'), 'in the way')],
    [
      'a file in the place of the whole',
      async () => (await rm(dir, { recursive: true }), writeFile(dir, 'in the way')),
    ],
  ])('that cannot be made, because of %s, warns and hinders nothing', async (_, spoil) => {
    await spoil();
    const store = await openStore();
    expect(await store.write(KEY, pieces(data, 100_000), keep)).toMatchObject({ type: 'saved' });
    expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
    const warnings = events.filter(({ type }) => type === 'warning');
    expect(warnings.length).toBeGreaterThan(0);
    for (const warning of warnings)
      expect(warning).toMatchObject({ hint: expect.stringContaining('CACHE_LOCAL_DIR') });
    store.close();
  });
});
