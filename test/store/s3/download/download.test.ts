/** Number and size of ranges on networks of several kinds, and connections that are far slower than the others. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CacheEvent } from '../../../../src/events.ts';
import { createS3Store, type S3StoreOptions } from '../../../../src/store/s3/s3-store.ts';
import type { Store } from '../../../../src/store/store.ts';
import { startPacedProxy, type Pace, type PacedProxy } from '../../../support/paced-proxy.ts';
import { startS3Server, type LoggedRequest, type S3Server } from '../../../support/s3-server.ts';
import { present, readAll, sha256, stoppable } from '../../contract.ts';
import { FOREVER, KEY, MIB, outcomeOf, startOf } from '../faults.ts';
import { s3Options } from '../subject.ts';

let server: S3Server;
let proxy: PacedProxy;
let store: Store;
let events: CacheEvent[];
beforeEach(async () => {
  server = await startS3Server();
  events = [];
});
afterEach(async () => {
  store.close();
  await proxy.close();
  await server.close();
});

async function open(pace: Pace, options: Partial<S3StoreOptions> = {}): Promise<void> {
  proxy = await startPacedProxy(server.port, pace);
  const { region, credentials } = server;
  store = await createS3Store({
    ...s3Options({ endpoint: proxy.endpoint, region, credentials }, { bucket: 'test-bucket' }),
    emit: (event) => events.push(event),
    ...options,
  });
}

const steps = (): string[] => events.flatMap((event) => (event.type === 'step' ? [event.text] : []));
const lengthOf = ({ range }: LoggedRequest): number => {
  const [from, to] = range!.replace('bytes=', '').split('-').map(Number);
  return to! - from! + 1;
};

describe('ranges', () => {
  const data = randomBytes(48 * MIB);

  it('are many and short where each connection is slow', async () => {
    await open({ rate: 15e6, latencyMs: 20 });
    server.place('test-bucket', { key: KEY, body: data });
    expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
    expect(proxy.most()).toBeGreaterThan(8);
    expect(proxy.most()).toBeLessThanOrEqual(16);
    expect(steps()).toContainEqual(expect.stringMatching(/^Fetched in \d+ ranges, at most 1\d at a time$/));
  });

  it('never hold more than 32 MiB, however slow the consumer', async () => {
    await open({ rate: 15e6, latencyMs: 20 });
    server.place('test-bucket', { key: KEY, body: data });
    const { signal, stop } = stoppable();
    const entry = await store.open(KEY, { signal });
    const body = entry!.body[Symbol.asyncIterator]();
    let taken = 0;
    let most = 0;
    for (let next = await body.next(); next.done !== true; next = await body.next()) {
      const asked = server.requests.reduce((sum, request) => sum + lengthOf(request), 0);
      most = Math.max(most, asked - taken);
      taken += next.value.length;
      if (taken < 4 * MIB) await new Promise((resolve) => setTimeout(resolve, 5));
    }
    stop();
    expect(taken).toBe(data.length);
    expect(most).toBeLessThanOrEqual(32 * MIB);
    expect(most).toBeGreaterThan(24 * MIB);
  });
});

describe('a connection that brings a byte now and then', () => {
  const data = randomBytes(10 * MIB + 77);
  const trickle = { type: 'trickle', bytes: 1, everyMs: 50 } as const;
  const stallTimeoutMs = 400;
  const whole = async (): Promise<void> => {
    server.place('test-bucket', { key: KEY, body: data });
    expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(data));
  };

  it.each([
    ['the first', 0],
    ['a later one', 3 * MIB],
    ['the last', 10 * MIB],
  ])('%s of several: a second one is faster', async (_, from) => {
    await open({}, { rangeSize: MIB, stallTimeoutMs });
    server.faults.add({ match: ({ range }) => startOf(range) === from, effect: trickle });
    const began = performance.now();
    await whole();
    expect(performance.now() - began).toBeLessThan(5 * stallTimeoutMs);
    expect(steps().at(-1)).toMatch(/; second connections for slow ones: 1, of which 1 were faster$/);
    const [first, ...others] = server.requests;
    expect(first!.headers['if-match']).toBeUndefined();
    expect(others.every(({ headers }) => headers['if-match'] !== undefined)).toBe(true);
    expect(server.requests).toHaveLength(12);
  });

  it('the second one is slow too: there is a third', async () => {
    await open({}, { rangeSize: MIB, stallTimeoutMs });
    server.faults.add({ match: ({ range }) => startOf(range) === 3 * MIB, effect: trickle });
    server.faults.add({
      match: ({ range }) => startOf(range) > 3 * MIB && startOf(range) < 4 * MIB,
      effect: trickle,
    });
    await whole();
    expect(server.faults.left).toBe(0);
  });

  it('the only one: it gets a second connection as well', async () => {
    await open({}, { stallTimeoutMs });
    server.place('test-bucket', { key: KEY, body: data.subarray(0, MIB) });
    server.faults.add({ match: () => true, effect: trickle });
    expect(await readAll(await present(store, KEY))).toHaveLength(MIB);
  });

  it('all of them: few requests more, and the deadline ends it', async () => {
    await open({}, { rangeSize: MIB, stallTimeoutMs });
    server.place('test-bucket', { key: KEY, body: data });
    server.faults.add({ match: () => true, times: FOREVER, effect: trickle });
    const { signal, stop } = stoppable();
    setTimeout(stop, 3 * stallTimeoutMs);
    await expect(readAll((await store.open(KEY, { signal }))!)).rejects.toThrow();
    // Four ranges, and four second connections.
    expect(server.requests.length).toBeLessThanOrEqual(8);
  });

  it('stalls on all of them end it by the stall limit', async () => {
    await open({}, { rangeSize: MIB, stallTimeoutMs });
    server.place('test-bucket', { key: KEY, body: data });
    server.faults.add({
      match: ({ range }) => startOf(range) > 0,
      times: FOREVER,
      effect: { type: 'stall', responseBytes: 10 },
    });
    expect(await outcomeOf(async () => readAll(await present(store, KEY)))).toBe('STORE_STALLED');
  });

  it('a second connection that is refused does no harm', async () => {
    await open({}, { rangeSize: MIB, stallTimeoutMs });
    const slow: LoggedRequest[] = [];
    server.faults.add({
      match: (request) => startOf(request.range) === 3 * MIB && slow.push(request) === 1,
      effect: { type: 'trickle', bytes: 120_000, everyMs: 100 },
    });
    server.faults.add({
      match: ({ range }) => startOf(range) > 3 * MIB && startOf(range) < 4 * MIB,
      times: FOREVER,
      effect: { type: 'error', status: 403, code: 'AccessDenied' },
    });
    await whole();
  });

  it('an object that was replaced meanwhile is not mixed in', async () => {
    await open({}, { rangeSize: MIB, stallTimeoutMs });
    server.place('test-bucket', { key: KEY, body: data });
    server.faults.add({ match: ({ range }) => startOf(range) === 9 * MIB, effect: trickle });
    server.faults.add({
      match: ({ range }) => startOf(range) > 9 * MIB && startOf(range) < 10 * MIB,
      effect: {
        type: 'before',
        run: () => void server.place('test-bucket', { key: KEY, body: randomBytes(data.length) }),
      },
    });
    const { signal, stop } = stoppable();
    setTimeout(stop, 3 * stallTimeoutMs);
    // The bytes of the first object still come, one now and then.
    await expect(readAll((await store.open(KEY, { signal }))!)).rejects.toThrow();
  });
});
