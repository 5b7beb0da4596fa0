/** An old entry is written anew by a copy onto itself, on every server: the same entry, and nothing but younger. */
import { randomBytes } from 'node:crypto';
import {
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectTaggingCommand,
} from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createS3Store } from '../../../../src/store/s3/s3-store.ts';
import type { EntryInfo, Store } from '../../../../src/store/store.ts';
import { startAgingProxy, type AgingProxy } from '../../../support/aging-proxy.ts';
import { startS3Server, type S3Server } from '../../../support/s3-server.ts';
import { availableServers, describeEachServer } from '../../../support/servers.ts';
import { pieces, present, readAll, sha256 } from '../../contract.ts';
import { KEY, MIB } from '../faults.ts';
import { s3Options } from '../subject.ts';

const { signal } = new AbortController();
const metadata = { 'sandbox-cache-format': '1', 'sandbox-cache-needs': 'GLIBC_2.17' };
const keep = { ifExists: 'keep', metadata, signal } as const;
const DAY = 24 * 60 * 60 * 1000;

let asked = 0;
const renewal = { signal, mayTry: async () => (asked += 1) > 0 };
beforeEach(() => void (asked = 0));

describeEachServer(await availableServers(), (target) => {
  let proxy: AgingProxy;
  let store: Store;
  let direct: Store;
  let bucket: string;
  let key: string;
  beforeEach(async () => {
    const place = await target().place();
    ({ bucket } = place);
    key = place.prefix + KEY;
    proxy = await startAgingProxy(target().endpoint, 20);
    store = await createS3Store(s3Options({ ...target(), endpoint: proxy.endpoint }, { bucket }));
    direct = await createS3Store(s3Options(target(), { bucket }));
  });
  afterEach(async () => {
    for (const each of [store, direct]) each.close();
    await proxy.close();
  });

  it.each([1000, 9 * MIB])('an entry of %d bytes stays what it is', async (bytes) => {
    const { client } = target();
    const body = randomBytes(bytes);
    await direct.write(key, pieces(body, MIB), keep);
    const before = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    const entry = await present(store, key);
    await readAll(entry);

    // Then it stays as it is.
    const isRefused = target().traits.refusesConditions && bytes > 5 * MIB;
    expect(await store.renew!(entry.info, renewal)).toBe(!isRefused);
    expect(asked).toBe(1);
    expect(proxy.copies).toEqual([expect.objectContaining({ status: isRefused ? 412 : 200 })]);
    const after = await client.send(new HeadObjectCommand({ Bucket: bucket, Key: key }));
    const { Metadata, ContentType, ContentLength, StorageClass, ServerSideEncryption } = before;
    expect(after).toMatchObject({ Metadata, ContentType, ContentLength });
    expect([after.StorageClass, after.ServerSideEncryption]).toEqual([StorageClass, ServerSideEncryption]);

    const again = await present(direct, key);
    expect(again.info.writeId).toBe(entry.info.writeId);
    expect(again.metadata).toEqual(metadata);
    expect(sha256(await readAll(again))).toBe(sha256(body));
  });

  it('a young entry is left alone', async () => {
    await direct.write(key, pieces(randomBytes(1000), MIB), keep);
    expect(await direct.renew!((await direct.stat(key, { signal }))!, renewal)).toBe(false);
    expect(asked).toBe(0);
  });

  it('one that somebody replaces before the copy stays as it was replaced', async () => {
    await direct.write(key, pieces(randomBytes(1000), MIB), keep);
    const entry = (await store.stat(key, { signal }))!;
    const other = randomBytes(2000);
    proxy.beforeCopy = async () =>
      void (await direct.write(key, pieces(other, MIB), { ...keep, ifExists: 'replace' }));
    expect(await store.renew!(entry, renewal)).toBe(false);
    expect(proxy.copies).toHaveLength(1);
    expect(sha256(await readAll(await present(direct, key)))).toBe(sha256(other));
  });

  it('one under a key with a percent sign is not copied, which radosgw would not survive', async () => {
    const odd = `${key}%2f`;
    await direct.write(odd, pieces(randomBytes(1000), MIB), keep);
    expect(await store.renew!((await store.stat(odd, { signal }))!, renewal)).toBe(false);
    expect(proxy.copies).toEqual([]);
  });

  it('one with tags keeps them', async () => {
    const { client } = target();
    await direct.write(key, pieces(randomBytes(1000), MIB), keep);
    const Tagging = { TagSet: [{ Key: 'cost', Value: 'ci' }] };
    const tagged = await client.send(new PutObjectTaggingCommand({ Bucket: bucket, Key: key, Tagging })).then(
      () => true,
      () => false,
    );
    if (!tagged) return;
    await store.renew!((await store.stat(key, { signal }))!, renewal);
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket: bucket, Key: key }));
    expect(TagSet).toEqual(Tagging.TagSet);
  });

  it('one of a versioned bucket is not: the old version would stay', async () => {
    const { client, inProcess } = target();
    if (inProcess !== undefined) return;
    const VersioningConfiguration = { Status: 'Enabled' } as const;
    const versioned = await client
      .send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration }))
      .then(
        () => true,
        () => false,
      );
    if (!versioned) return;
    await direct.write(key, pieces(randomBytes(1000), MIB), keep);
    expect(await store.renew!((await store.stat(key, { signal }))!, renewal)).toBe(false);
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucket }));
    expect(Versions).toHaveLength(1);
  });
});

describe('a service that', () => {
  let server: S3Server;
  let store: Store;
  let entry: EntryInfo;
  beforeEach(async () => {
    server = await startS3Server();
    store = await createS3Store(s3Options(server, { bucket: 'test-bucket' }));
    const modified = new Date(Date.now() - 8 * DAY);
    server.place('test-bucket', {
      key: KEY,
      body: randomBytes(100),
      metadata: { 'write-id': 'a' },
      modified,
    });
    entry = (await store.stat(KEY, { signal }))!;
  });
  afterEach(async () => {
    store.close();
    await server.close();
  });
  const copied = (): number => server.count('CopyObject');
  const head = (headers: Record<string, string>): void =>
    server.faults.add({
      match: ({ operation }) => operation === 'HeadObject',
      effect: { type: 'headers', headers },
    });

  it.each([
    ['refuses it', { type: 'error', status: 403, code: 'AccessDenied' }],
    ['knows no copies', { type: 'error', status: 501, code: 'NotImplemented' }],
    ['says so late', { type: 'error-in-200', code: 'InternalError' }],
    ['breaks off', { type: 'reset' }],
  ] as const)('%s is asked once, without a word', async (_, effect) => {
    server.faults.add({ match: ({ operation }) => operation === 'CopyObject', times: 9, effect });
    expect(await store.renew!(entry, renewal)).toBe(false);
    expect(copied()).toBe(1);
  });

  it.each([
    ['keeps versions', { 'x-amz-version-id': 'abc' }],
    ['has another object there now', { 'x-amz-meta-write-id': 'b' }],
    ['had it renewed by somebody else', { 'last-modified': new Date().toUTCString() }],
  ])('%s is not asked', async (_, headers) => {
    head(headers);
    expect(await store.renew!(entry, renewal)).toBe(false);
    expect(copied()).toBe(0);
  });

  it('has suspended versions copies it', async () => {
    head({ 'x-amz-version-id': 'null' });
    expect(await store.renew!(entry, renewal)).toBe(true);
  });

  it('has an entry of more than 5 GiB is not asked', async () => {
    expect(await store.renew!({ ...entry, size: 5 * 1024 ** 3 + 1 }, renewal)).toBe(false);
    expect(server.count('HeadObject')).toBe(0);
  });

  it('never answers is left at the end of the run', async () => {
    server.faults.add({ match: ({ operation }) => operation === 'CopyObject', effect: { type: 'stall' } });
    const controller = new AbortController();
    const renewing = store.renew!(entry, { ...renewal, signal: controller.signal });
    while (copied() === 0) await new Promise((resolve) => setImmediate(resolve));
    controller.abort(new Error('the run has ended'));
    expect(await renewing).toBe(false);
  });

  it('ignores conditions, while another entry comes: what is there is believed', async () => {
    server.faults.add({
      match: ({ operation }) => operation === 'HeadObject',
      effect: { type: 'headers', headers: {} },
    });
    const run = (): void =>
      void server.place('test-bucket', { key: KEY, body: randomBytes(70), metadata: { 'write-id': 'b' } });
    server.faults.add({
      match: ({ operation }) => operation === 'CopyObject',
      effect: { type: 'before', run },
    });
    expect(await store.renew!(entry, renewal)).toBe(false);
  });

  it('goes by its own clock', async () => {
    const ahead = await startS3Server({ clockOffsetMs: 8 * DAY });
    ahead.place('test-bucket', { key: KEY, body: randomBytes(100), modified: new Date() });
    const other = await createS3Store(s3Options(ahead, { bucket: 'test-bucket' }));
    expect(await other.renew!((await other.stat(KEY, { signal }))!, renewal)).toBe(true);
    other.close();
    await ahead.close();
  });

  it('says that a rule deletes it soon has it renewed in the middle of its life', async () => {
    const modified = new Date(Date.now() - 4 * DAY);
    server.place('test-bucket', { key: KEY, body: randomBytes(100), modified });
    const expiry = new Date(Date.now() + 3 * DAY).toUTCString();
    server.faults.add({
      match: () => true,
      times: 9,
      effect: { type: 'headers', headers: { 'x-amz-expiration': `expiry-date="${expiry}", rule-id="r"` } },
    });
    expect(await store.renew!((await store.stat(KEY, { signal }))!, renewal)).toBe(true);
  });
});
