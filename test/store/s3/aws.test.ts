/**
 * No custom endpoint: the host names, checksums and redirects of AWS itself. A proxy leads every host name to the in-process
 * server, whose certificate carries those names; so the proxy and `AWS_CA_BUNDLE` are under test as well.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { CacheEvent } from '../../../src/events.ts';
import { createS3Store, type S3StoreOptions } from '../../../src/store/s3/s3-store.ts';
import { bypassesProxy } from '../../../src/store/s3/connection/no-proxy.ts';
import type { Store } from '../../../src/store/store.ts';
import { startS3Server, type S3Server } from '../../support/s3-server.ts';
import { describeStoreContract, pieces, present, readAll, sha256 } from '../contract.ts';
import { startConnectProxy, type ConnectProxy } from './connect-proxy.ts';
import { s3Options } from './subject.ts';

const HOSTS = [
  'near.s3.us-east-1.amazonaws.com',
  'far.s3.us-east-1.amazonaws.com',
  'far.s3.eu-west-1.amazonaws.com',
  'near.s3-accelerate.amazonaws.com',
];
const KEY = 'cache/npm-0123.tar.gz';
const { signal } = new AbortController();
const keep = { ifExists: 'keep', metadata: {}, signal } as const;

let folder: string;
let server: S3Server;
let proxy: ConnectProxy;
let events: CacheEvent[];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sandbox-cache-aws-'));
});
afterAll(() => rm(folder, { recursive: true }));
beforeEach(async () => {
  events = [];
  server = await startS3Server({
    tls: { hosts: HOSTS },
    buckets: ['near', { name: 'far', region: 'eu-west-1' }],
  });
  await writeFile(join(folder, 'ca.pem'), server.certificate!);
  proxy = await startConnectProxy(server.port);
});
afterEach(async () => {
  await proxy.close();
  await server.close();
});

function openStore(options: Partial<S3StoreOptions> = {}): Promise<Store> {
  return createS3Store({
    ...s3Options(server, { bucket: 'near' }),
    endpoint: undefined,
    proxy: { https: proxy.url, no: undefined },
    caBundle: join(folder, 'ca.pem'),
    emit: (event) => events.push(event),
    ...options,
  });
}

describe('the contract', () => {
  describeStoreContract(async () => ({
    store: await openStore(),
    prefix: '',
    another: () => openStore(),
    leftovers: async () => server.bucket('near').uploads.size,
    oneWinner: { small: true, large: true },
    marksWrites: true,
    close: async () => {},
  }));
});

describe('requests', () => {
  it('go to the virtual host of the bucket, over connections that are kept', async () => {
    const store = await openStore();
    const data = randomBytes(30_000_000);
    await store.write(KEY, pieces(data, 1_000_000), keep);
    for (let reads = 0; reads < 3; reads += 1)
      expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
    expect(new Set(proxy.targets)).toEqual(new Set(['near.s3.us-east-1.amazonaws.com:443']));
    // As many as there are ranges on their way at a time, however many requests follow.
    expect(proxy.targets.length).toBeLessThanOrEqual(16);
    expect(server.requests.length).toBeGreaterThan(1.5 * proxy.targets.length);
    store.close();
  });

  it('carry checksums where S3 wants them, and ask for none on ranges', async () => {
    const store = await openStore();
    await store.write(KEY, pieces(randomBytes(9_000_000), 1_000_000), keep);
    await readAll(await present(store, KEY));
    expect(server.count('UploadPart')).toBeGreaterThan(1);
    expect(server.count('GetObject')).toBeGreaterThan(1);
    for (const { operation, headers } of server.requests) {
      if (operation === 'UploadPart') expect(headers['x-amz-checksum-crc32']).toBeDefined();
      if (operation === 'GetObject') expect(headers['x-amz-checksum-mode']).toBeUndefined();
      expect(headers['expect']).toBeUndefined();
    }
    expect(server.bucket('near').objects.get(KEY)?.checksum).toMatchObject({ algorithm: 'crc32' });
    store.close();
  });

  it('do not look before completing: AWS honours the condition', async () => {
    const store = await openStore();
    await store.write(KEY, pieces(randomBytes(9_000_000), 1_000_000), keep);
    const operations = server.requests.map(({ operation }) => operation);
    expect(operations[operations.indexOf('CompleteMultipartUpload') - 1]).toBe('UploadPart');
    store.close();
  });

  it('ask for the encryption that was chosen', async () => {
    const store = await openStore({ sse: 'aws:kms', kmsKeyId: 'alias/cache' });
    await store.write(KEY, pieces(randomBytes(9_000_000), 1_000_000), keep);
    await store.write(`${KEY}.small`, pieces(randomBytes(10), 10), keep);
    for (const key of [KEY, `${KEY}.small`]) {
      expect(server.bucket('near').objects.get(key)?.headers).toMatchObject({
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': 'alias/cache',
      });
    }
    store.close();
  });

  it('take the accelerated way', async () => {
    const store = await openStore({ accelerate: true });
    await store.write(KEY, pieces(randomBytes(10), 10), keep);
    expect(new Set(proxy.targets)).toEqual(new Set(['near.s3-accelerate.amazonaws.com:443']));
    store.close();
  });
});

it('a bucket that cannot be accelerated is a matter of configuration', async () => {
  const store = await openStore({ bucket: 'with.dots', accelerate: true });
  await expect(store.stat(KEY, { signal })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    hint: expect.stringContaining('CACHE_S3_ACCELERATE'),
  });
  store.close();
});

describe('a bucket in another region', () => {
  it.each(['stat', 'open', 'write', 'list', 'remove'] as const)(
    'is followed there by %s, with one warning',
    async (operation) => {
      const data = randomBytes(20_000_000);
      server.place('far', { key: KEY, body: data });
      const store = await openStore({ bucket: 'far' });
      switch (operation) {
        case 'stat':
          expect(await store.stat(KEY, { signal })).toMatchObject({ size: data.length });
          break;
        case 'open':
          expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
          break;
        case 'write':
          await store.write(KEY, pieces(data, 1_000_000), { ...keep, ifExists: 'replace' });
          break;
        case 'list':
          {
            const keys: string[] = [];
            for await (const { key } of store.list('', { signal })) keys.push(key);
            expect(keys).toEqual([KEY]);
          }
          break;
        case 'remove':
          await store.remove(KEY, { signal });
          break;
      }
      await store.stat(KEY, { signal });
      expect(events.filter(({ type }) => type === 'warning')).toEqual([
        expect.objectContaining({ type: 'warning', hint: 'Set AWS_REGION=eu-west-1' }),
      ]);
      expect(server.requests.filter(({ status }) => status === 301)).toHaveLength(1);
      store.close();
    },
  );

  it('is followed by a small save alone, and by many at once', async () => {
    const store = await openStore({ bucket: 'far' });
    const keys = ['a', 'b', 'c', 'd'];
    await Promise.all(keys.map((key) => store.write(key, pieces(randomBytes(10), 10), keep)));
    expect([...server.bucket('far').objects.keys()].sort()).toEqual(keys);
    expect(events).toHaveLength(1);
    store.close();
  });
});

describe('the proxy', () => {
  it('gets the user and password of its address', async () => {
    const store = await openStore({
      proxy: { https: proxy.url.replace('//', '//me:p%40ss@'), no: undefined },
    });
    await store.stat(KEY, { signal });
    expect(proxy.authorizations).toEqual([`Basic ${Buffer.from('me:p@ss').toString('base64')}`]);
    store.close();
  });

  it('that refuses is named, without its password', async () => {
    const refusing = await startConnectProxy(server.port, { status: 407 });
    const store = await openStore({
      proxy: { https: refusing.url.replace('//', '//me:canary@'), no: undefined },
    });
    const error: unknown = await store.stat(KEY, { signal }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({ code: 'STORE_UNREACHABLE', message: expect.stringContaining('407') });
    expect(String(error)).not.toContain('canary');
    store.close();
    await refusing.close();
  });

  it('that is down is named', async () => {
    const down = await startConnectProxy(server.port);
    await down.close();
    const store = await openStore({ proxy: { https: down.url, no: undefined } });
    await expect(store.stat(KEY, { signal })).rejects.toMatchObject({
      code: 'STORE_UNREACHABLE',
      hint: expect.stringContaining('HTTPS_PROXY'),
    });
    store.close();
  });

  it('with an address that is none is a matter of configuration', async () => {
    await expect(openStore({ proxy: { https: 'socks5://x', no: undefined } })).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
    });
  });

  it('is not asked for hosts of NO_PROXY', async () => {
    const store = await openStore({
      endpoint: server.endpoint,
      proxy: { https: 'http://127.0.0.1:1', no: 'localhost, 127.0.0.1' },
    });
    expect(await store.stat(KEY, { signal })).toBeUndefined();
    store.close();
  });

  it.each([
    ['s3.amazonaws.com', 'amazonaws.com', true],
    ['s3.amazonaws.com', '.amazonaws.com', true],
    ['s3.amazonaws.com', '*.amazonaws.com', true],
    ['S3.AMAZONAWS.COM', 'other.example,amazonaws.com:443', true],
    ['s3.amazonaws.com', '*', true],
    ['notamazonaws.com', 'amazonaws.com', false],
    ['s3.amazonaws.com', '', false],
    ['s3.amazonaws.com', undefined, false],
    ['10.1.2.3', '10.0.0.0/8', true],
    ['11.1.2.3', '10.0.0.0/8', false],
    ['10.1.2.3', '10.1.2.3:443', true],
    ['10.1.2.3', '10.0.0.0/33,10/8,/8,x/y', false],
    ['fd00::1', 'fd00::/8', true],
    ['fe80::1', '[fd00::]/8', false],
    ['fd00::1', '10.0.0.0/8', false],
    ['::1', '::1', true],
    ['::1', '[::1]:9000', true],
    ['s3.amazonaws.com', '0.0.0.0/0', false],
  ])('for %s under NO_PROXY=%s: left out %s', (host, noProxy, expected) => {
    expect(bypassesProxy(host, noProxy)).toBe(expected);
  });
});
