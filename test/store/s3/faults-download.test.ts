import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Fault, FaultEffect, LoggedRequest } from '../../support/s3-server.ts';
import { present, readAll, sha256 } from '../contract.ts';
import {
  denied,
  expired,
  FOREVER,
  internal,
  KEY,
  MIB,
  outcomeOf,
  slowDown,
  startOf,
  useScene,
  type Outcome,
} from './faults.ts';

const scene = useScene();

describe('a download', () => {
  const data = randomBytes(6 * MIB + 123);
  const first = ({ operation, range }: LoggedRequest): boolean =>
    operation === 'GetObject' && startOf(range) < MIB;
  const later = ({ operation, range }: LoggedRequest): boolean =>
    operation === 'GetObject' && startOf(range) >= 3 * MIB;

  const cases: [string, string, Omit<Fault, 'match'>, Outcome][] = [];
  const add = (
    fault: string,
    effect: FaultEffect,
    outcomes: { times: number; first: Outcome; later: Outcome },
  ): void => {
    for (const phase of ['first', 'later'] as const) {
      const { times } = outcomes;
      cases.push([
        `${fault} (${times === FOREVER ? 'for ever' : `${times}×`})`,
        phase,
        { effect, times },
        outcomes[phase],
      ]);
    }
  };
  add('reset before the answer', { type: 'reset' }, { times: 2, first: 'recovered', later: 'recovered' });
  add(
    'reset before the answer',
    { type: 'reset' },
    { times: FOREVER, first: 'STORE_UNREACHABLE', later: 'STORE_UNREACHABLE' },
  );
  add(
    'reset in the body',
    { type: 'reset', responseBytes: 100_000 },
    { times: 3, first: 'recovered', later: 'recovered' },
  );
  add(
    'reset at once in the body',
    { type: 'reset', responseBytes: 0 },
    { times: FOREVER, first: 'STORE_UNREACHABLE', later: 'STORE_UNREACHABLE' },
  );
  add('stall before the answer', { type: 'stall' }, { times: 1, first: 'recovered', later: 'recovered' });
  add(
    'stall before the answer',
    { type: 'stall' },
    { times: FOREVER, first: 'STORE_STALLED', later: 'STORE_STALLED' },
  );
  add(
    'stall in the body',
    { type: 'stall', responseBytes: 100_000 },
    { times: 1, first: 'recovered', later: 'recovered' },
  );
  add(
    'stall in the body',
    { type: 'stall', responseBytes: 10 },
    { times: FOREVER, first: 'STORE_STALLED', later: 'STORE_STALLED' },
  );
  add(
    'slow trickle',
    { type: 'trickle', bytes: 200_000, everyMs: 30 },
    { times: FOREVER, first: 'recovered', later: 'recovered' },
  );
  add(
    'body shorter than Content-Length',
    { type: 'short-body', bytes: 300_000 },
    { times: 2, first: 'recovered', later: 'recovered' },
  );
  add(
    'Content-Length shorter than the range',
    { type: 'cut-body', bytes: 5000 },
    { times: 1, first: 'recovered', later: 'recovered' },
  );
  add(
    'wrong Content-Range',
    { type: 'content-range', value: 'bytes 7-1000/9999999' },
    { times: 1, first: 'recovered', later: 'recovered' },
  );
  add(
    'wrong Content-Range',
    { type: 'content-range', value: 'bytes 7-1000/9999999' },
    { times: FOREVER, first: 'STORE_FAILED', later: 'STORE_FAILED' },
  );
  add(
    'no Content-Range',
    { type: 'content-range', value: null },
    { times: FOREVER, first: 'STORE_FAILED', later: 'STORE_FAILED' },
  );
  add(
    '200 in place of 206',
    { type: 'ignore-range' },
    { times: FOREVER, first: 'recovered', later: 'recovered' },
  );
  add('500', internal, { times: 2, first: 'recovered', later: 'recovered' });
  add('500', internal, { times: FOREVER, first: 'STORE_FAILED', later: 'STORE_FAILED' });
  add('503 SlowDown, a burst', slowDown, { times: 6, first: 'recovered', later: 'recovered' });
  add('503 SlowDown', slowDown, { times: FOREVER, first: 'STORE_BUSY', later: 'STORE_BUSY' });
  add('403', denied, { times: 1, first: 'STORE_ACCESS_DENIED', later: 'STORE_ACCESS_DENIED' });
  add('expired token, renewed', expired, { times: 1, first: 'recovered', later: 'recovered' });
  add('expired token', expired, {
    times: FOREVER,
    first: 'STORE_BAD_CREDENTIALS',
    later: 'STORE_BAD_CREDENTIALS',
  });
  add(
    'web page',
    { type: 'html', status: 200 },
    { times: FOREVER, first: 'STORE_NOT_S3', later: 'STORE_NOT_S3' },
  );
  add('web page 502', { type: 'html', status: 502 }, { times: 2, first: 'recovered', later: 'recovered' });
  add(
    'another ETag',
    { type: 'headers', headers: { etag: '"ffffffffffffffffffffffffffffffff"' } },
    { times: 1, first: 'STORE_REPLACED', later: 'STORE_REPLACED' },
  );

  it.each(cases)('%s, at the %s range', async (_, phase, fault, outcome) => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    scene.server.faults.add({ ...fault, match: phase === 'first' ? first : later });
    expect(
      await outcomeOf(async () =>
        expect(sha256(await readAll(await present(scene.store, KEY)))).toBe(sha256(data)),
      ),
    ).toBe(outcome);
    if (fault.times !== FOREVER) expect(scene.server.faults.left).toBe(0);
  });

  it('resumes inside a range, not at its beginning', async () => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    scene.server.faults.add({ match: later, effect: { type: 'reset', responseBytes: 400_000 } });
    expect(sha256(await readAll(await present(scene.store, KEY)))).toBe(sha256(data));
    const starts = scene.server.requests
      .map(({ range }) => startOf(range) % MIB)
      .filter((start) => start > 0);
    expect(starts).toHaveLength(1);
    expect(starts[0]).toBeGreaterThan(100_000);
  });

  it('goes on where a part ends early that did not say how long it is', async () => {
    const { etag } = scene.server.place('test-bucket', { key: KEY, body: data });
    const range = `bytes ${3 * MIB}-${4 * MIB - 1}/${data.length}`;
    const head = `HTTP/1.1 206 Partial Content\r\nConnection: close\r\nETag: ${etag}\r\nContent-Range: ${range}\r\n\r\n`;
    const first = Buffer.concat([Buffer.from(head), data.subarray(3 * MIB, 3 * MIB + 1000)]);
    scene.server.faults.add({
      match: ({ operation, range: asked }) => operation === 'GetObject' && startOf(asked) === 3 * MIB,
      effect: { type: 'raw', first },
    });
    expect(sha256(await readAll(await present(scene.store, KEY)))).toBe(sha256(data));
    expect(scene.server.requests.map(({ range: asked }) => startOf(asked))).toContain(3 * MIB + 1000);
  });

  it('pins the ETag, so that two objects never mix', async () => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    scene.server.faults.add({
      match: later,
      effect: {
        type: 'before',
        run: () => void scene.server.place('test-bucket', { key: KEY, body: randomBytes(data.length) }),
      },
    });
    expect(await outcomeOf(async () => readAll(await present(scene.store, KEY)))).toBe('STORE_REPLACED');
    const [, ...rest] = scene.server.requests;
    expect(rest.every(({ headers }) => headers['if-match'] !== undefined)).toBe(true);
  });

  it('notices that the object is gone', async () => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    scene.server.faults.add({
      match: later,
      effect: { type: 'before', run: () => void scene.server.bucket().objects.delete(KEY) },
    });
    expect(await outcomeOf(async () => readAll(await present(scene.store, KEY)))).toBe('STORE_REPLACED');
  });

  it('refused half way', async () => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    scene.server.faults.add({
      match: later,
      effect: { type: 'before', run: () => void scene.server.close() },
    });
    const outcome = await outcomeOf(async () => readAll(await present(scene.store, KEY)));
    expect(outcome).toBe('STORE_UNREACHABLE');
  });

  it('reads a server without ranges as one stream, at the pace of the consumer', async () => {
    const large = randomBytes(24 * MIB);
    scene.server.place('test-bucket', { key: KEY, body: large });
    scene.server.faults.add({ match: () => true, times: FOREVER, effect: { type: 'ignore-range' } });
    const entry = await present(scene.store, KEY);
    const chunks: Uint8Array[] = [];
    for await (const chunk of entry.body) {
      chunks.push(chunk);
      if (chunks.length === 1) await new Promise((resolve) => setTimeout(resolve, 1200));
    }
    expect(sha256(Buffer.concat(chunks))).toBe(sha256(large));
    expect(scene.server.requests).toHaveLength(1);
  });
});
