/** What a transfer holds while it runs, and what it has let go of when it ends. */
import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createS3Store } from '../../../src/store/s3/s3-store.ts';
import type { Store } from '../../../src/store/store.ts';
import { startS3Server, type S3Server } from '../../support/s3-server.ts';
import { pieces, present, stoppable } from '../contract.ts';
import { startSlowProxy, type SlowProxy } from './slow-proxy.ts';
import { s3Options } from './subject.ts';

const MIB = 1024 * 1024;
const KEY = 'cache/npm-0123.tar.gz';

let server: S3Server;
let proxy: SlowProxy;
let store: Store;
beforeEach(async () => {
  server = await startS3Server();
  proxy = await startSlowProxy(server.port, { bytes: MIB, everyMs: 0 });
  const access = { endpoint: proxy.endpoint, region: server.region, credentials: server.credentials };
  store = await createS3Store({ ...s3Options(access, { bucket: 'test-bucket' }), rangeSize: MIB });
});
afterEach(async () => {
  store.close();
  await proxy.close();
  await server.close();
});

/** Every answer but the first stalls in its body: what is in flight stays in flight until somebody ends it. */
function stallLaterRanges(): void {
  server.place('test-bucket', { key: KEY, body: randomBytes(10 * MIB) });
  server.faults.add({
    match: ({ range }) => range !== `bytes=0-${MIB - 1}`,
    times: 100,
    effect: { type: 'stall', responseBytes: 1000 },
  });
}

it('a consumer that stops early ends the connections in use', async () => {
  stallLaterRanges();
  const body = (await present(store, KEY)).body[Symbol.asyncIterator]();
  await body.next();
  await expect.poll(() => proxy.connections()).toBe(4);
  await body.return?.();
  await expect.poll(() => proxy.connections()).toBeLessThanOrEqual(1);
});

it('so does one that never begins', async () => {
  stallLaterRanges();
  const entry = await present(store, KEY);
  await expect.poll(() => proxy.connections()).toBe(4);
  await entry.body[Symbol.asyncIterator]().return?.();
  await expect.poll(() => proxy.connections()).toBeLessThanOrEqual(1);
});

it('so does an abort', async () => {
  stallLaterRanges();
  const { signal, stop } = stoppable();
  await store.open(KEY, { signal });
  await expect.poll(() => proxy.connections()).toBe(4);
  stop();
  await expect.poll(() => proxy.connections()).toBeLessThanOrEqual(1);
});

it('so does closing the store, and nothing begins anew', async () => {
  stallLaterRanges();
  await present(store, KEY);
  await expect.poll(() => proxy.connections()).toBe(4);
  store.close();
  await expect.poll(() => proxy.connections()).toBe(0);
  const { length } = server.requests;
  await new Promise((resolve) => setTimeout(resolve, 300));
  expect(server.requests).toHaveLength(length);
});

it('no more ranges are asked for than the window holds, however slow the consumer', async () => {
  server.place('test-bucket', { key: KEY, body: randomBytes(20 * MIB) });
  const body = (await present(store, KEY)).body[Symbol.asyncIterator]();
  await body.next();
  await expect.poll(() => server.requests.filter(({ status }) => status === 206)).toHaveLength(4);
  await new Promise((resolve) => setTimeout(resolve, 200));
  expect(server.requests).toHaveLength(4);
  await body.return?.();
});

it('an upload uses no more connections than it has parts in flight', async () => {
  const { signal } = new AbortController();
  await store.write(KEY, pieces(randomBytes(40 * MIB), MIB), { ifExists: 'keep', metadata: {}, signal });
  expect(proxy.connections()).toBeLessThanOrEqual(4);
  expect(server.count('UploadPart')).toBe(7);
});

it('256 MiB up and down raise the peak by less than 160 MiB', async () => {
  const { accessKeyId, secretAccessKey } = server.credentials;
  const probe = new URL('./memory-probe.ts', import.meta.url).pathname;
  const args = ['--import', 'tsx', probe, server.endpoint, accessKeyId, secretAccessKey, '256'];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, args);
  expect(stderr).toBe('');
  expect(Number(stdout)).toBeGreaterThan(0);
  expect(Number(stdout)).toBeLessThan(160);
});
