import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CacheEvent } from '../../src/events.ts';
import { createFlights } from '../../src/store/local/flight.ts';
import { createDirectoryStore } from '../../src/store/local/local-store.ts';
import { createS3Store } from '../../src/store/s3/s3-store.ts';
import type { Store } from '../../src/store/store.ts';
import { createTieredStore } from '../../src/store/tiered.ts';
import { startS3Server, type FaultEffect, type S3Server } from '../support/s3-server.ts';
import { describeStoreContract, pieces, present, readAll, sha256, stoppable } from './contract.ts';
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
    flights: createFlights(localDir),
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
    marksWrites: true,
    close: async () => {},
  }));
});

describe('the copy', () => {
  const data = randomBytes(9_000_000);
  const ranges = (): unknown[] => server.requests.map(({ range }) => range);

  it('made by a save serves the restore; the original is only looked at', async () => {
    const store = await openStore();
    const saved = await store.write(KEY, pieces(data, 100_000), keep);
    server.requests.length = 0;
    const entry = await present(store, KEY);
    expect(sha256(await readAll(entry))).toBe(sha256(data));
    expect(entry.metadata).toEqual(keep.metadata);
    expect(entry.from).toBe('local');
    expect(saved).toMatchObject({ etag: entry.info.etag, writeId: entry.info.writeId });
    expect(ranges()).toEqual(['bytes=0-0']);
    store.close();
  });

  it('made by a restore serves the next one', async () => {
    server.place('test-bucket', { key: KEY, body: data, metadata: keep.metadata });
    const store = await openStore();
    const original = await present(store, KEY);
    expect(original.from).toBe('s3');
    expect(sha256(await readAll(original))).toBe(sha256(data));
    server.requests.length = 0;
    const entry = await present(store, KEY);
    expect(sha256(await readAll(entry))).toBe(sha256(data));
    expect(entry.metadata).toEqual(keep.metadata);
    expect(ranges()).toEqual(['bytes=0-0']);
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

  it('and its original are replaced together when they were found bad', async () => {
    const store = await openStore();
    await store.write(KEY, pieces(data, 100_000), keep);
    const { etag } = (await present(store, KEY)).info;
    const better = randomBytes(1000);
    const outcome = await store.write(KEY, pieces(better, 1000), { ...keep, ifExists: { etag } });
    expect(outcome.type).toBe('saved');
    expect(await readFile(join(dir, KEY))).toEqual(better);
    expect(server.read('test-bucket', KEY)).toEqual(better);
    expect(await store.remove(KEY, { signal, etag })).toBe('another');
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

describe('a copy and its original', () => {
  const data = randomBytes(300_000);
  const other = randomBytes(300_000);
  let store: Store;
  beforeEach(async () => {
    store = await openStore();
    await store.write(KEY, pieces(data, 100_000), keep);
  });
  afterEach(() => store.close());

  const warnings = (): unknown[] => events.filter(({ type }) => type === 'warning');
  const copied = (): Promise<string | undefined> => readFile(join(dir, KEY)).then(sha256, () => undefined);
  const object = (): { etag: string } => server.bucket('test-bucket').objects.get(KEY)!;

  it.each([
    ['deleted', () => server.bucket('test-bucket').objects.delete(KEY), undefined],
    ['replaced', () => server.place('test-bucket', { key: KEY, body: other }), other],
    [
      'replaced by another save of the same bytes',
      () => server.place('test-bucket', { key: KEY, body: data, metadata: { 'write-id': 'other' } }),
      data,
    ],
  ])(
    '%s since: the copy ends in an error and is dropped, the next open reads what is there',
    async (_, change, next) => {
      change();
      const stale = await present(store, KEY);
      await expect(readAll(stale)).rejects.toMatchObject({ code: 'STORE_REPLACED' });
      expect(await copied()).toBeUndefined();
      const fresh = await store.open(KEY, { signal });
      expect(fresh?.from).toBe(next === undefined ? undefined : 's3');
      expect(fresh === undefined ? undefined : sha256(await readAll(fresh))).toBe(next && sha256(next));
      expect(warnings()).toEqual([]);
    },
  );

  it('a stale copy that may not be deleted is not used either', async () => {
    server.place('test-bucket', { key: KEY, body: other });
    await rm(join(dir, '.sandbox-cache', 'temporary'), { recursive: true });
    await writeFile(join(dir, '.sandbox-cache', 'temporary'), 'in the way');
    await expect(readAll(await present(store, KEY))).rejects.toMatchObject({ code: 'STORE_REPLACED' });
    expect(await copied()).toBe(sha256(data));
    expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(other));
  });

  it('copied onto itself: another ETag, and the same object', async () => {
    const { etag } = object();
    object().etag = 'of-the-copy-onto-itself';
    const entry = await present(store, KEY);
    expect(entry.info.etag).toBe(etag);
    expect(sha256(await readAll(entry))).toBe(sha256(data));
    expect(entry.from).toBe('local');
    // What is found to be wrong with it now is wrong with the object of this ETag.
    expect(entry.info.etag).toBe('of-the-copy-onto-itself');
    expect(await copied()).toBe(sha256(data));
  });

  it('of another program, without a write id: its ETag decides', async () => {
    const body = randomBytes(1000);
    server.place('test-bucket', { key: 'by/hand.tar', body });
    await readAll(await present(store, 'by/hand.tar'));
    expect(
      await present(store, 'by/hand.tar').then(async (entry) => [entry.from, await readAll(entry)]),
    ).toEqual(['local', body]);
    server.bucket('test-bucket').objects.get('by/hand.tar')!.etag = 'another';
    await expect(readAll(await present(store, 'by/hand.tar'))).rejects.toMatchObject({
      code: 'STORE_REPLACED',
    });
  });

  it('a copy that has lost what travelled with it is read from the far store instead', async () => {
    await truncate(join(dir, KEY), 5000);
    await expect(readAll(await present(store, KEY))).rejects.toMatchObject({ code: 'STORE_REPLACED' });
    expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
  });

  it.each<[string, FaultEffect]>([
    ['refuses', { type: 'error', status: 403, code: 'AccessDenied' }],
    ['resets every connection', { type: 'reset' }],
    ['never answers', { type: 'stall' }],
  ])('the far store %s: the copy is used, with one warning', async (_, effect) => {
    server.faults.add({ match: () => true, times: 1000, effect });
    for (let n = 0; n < 2; n++) expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
    expect(warnings()).toEqual([
      {
        type: 'warning',
        message: expect.stringContaining('was used unchecked: ') as string,
        hint: expect.stringContaining('CACHE_LOCAL_DIR') as string,
      },
    ]);
  });

  it('an abort while the end waits for the answer ends it with its reason', async () => {
    const { signal: stopping, stop, reason } = stoppable();
    server.faults.add({ match: () => true, times: 1000, effect: { type: 'stall' } });
    const entry = await store.open(KEY, { signal: stopping });
    const reading = readAll(entry!);
    setImmediate(stop);
    await expect(reading).rejects.toBe(reason);
  });
});
