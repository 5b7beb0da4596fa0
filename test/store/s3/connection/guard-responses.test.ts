/** Answers that no server should give: without end, encoded, with dates and sizes that are none. */
import { randomBytes } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { createS3Store } from '../../../../src/store/s3/s3-store.ts';
import type { EntryInfo } from '../../../../src/store/store.ts';
import { startS3Server, type FaultEffect } from '../../../support/s3-server.ts';
import { keysOf, pieces, present, readAll } from '../../contract.ts';
import { FOREVER, KEY, outcomeOf, useScene, type Outcome } from '../faults.ts';
import { s3Options } from '../subject.ts';

const scene = useScene();
const { signal } = new AbortController();
const data = randomBytes(300_000);

function strike(operation: string, effect: FaultEffect, times = FOREVER): void {
  scene.server.faults.add({ match: (request) => request.operation === operation, effect, times });
}

const stat = (): Promise<EntryInfo | undefined> => scene.store.stat(KEY, { signal });
const list = (): Promise<string[]> => keysOf(scene.store, 'cache/');

describe('an answer without end', () => {
  const HEAD = 'HTTP/1.1 206 Partial Content\r\n';
  const chunk = 'x'.repeat(64 * 1024);
  const xml = (status: string, text: string): string =>
    `HTTP/1.1 ${status}\r\ncontent-type: application/xml\r\nconnection: close\r\n\r\n${text}`;

  it.each<[string, FaultEffect, Outcome]>([
    ['headers, slowly', { type: 'raw', first: HEAD, again: 'x-a: b\r\n', everyMs: 20 }, 'STORE_STALLED'],
    ['one header, slowly', { type: 'raw', first: `${HEAD}x: `, again: 'a', everyMs: 20 }, 'STORE_STALLED'],
    [
      'interim answers, slowly',
      { type: 'raw', first: '', again: 'HTTP/1.1 100 Continue\r\n\r\n', everyMs: 100 },
      'STORE_STALLED',
    ],
    [
      'interim answers, a flood',
      { type: 'raw', first: '', again: 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(100) },
      'STORE_STALLED',
    ],
    [
      'an error document',
      { type: 'raw', first: xml('403 Forbidden', '<Error><Code>AccessDenied</Code><Message>'), again: chunk },
      'STORE_FAILED',
    ],
    [
      'an error document, silent in its middle',
      { type: 'raw', first: xml('403 Forbidden', '<Error>'), again: '', everyMs: 100 },
      'STORE_STALLED',
    ],
  ])('%s', async (_, effect, outcome) => {
    strike('GetObject', effect);
    expect(await outcomeOf(stat)).toBe(outcome);
  });

  it('a listing', async () => {
    strike('ListObjectsV2', { type: 'raw', first: xml('200 OK', '<ListBucketResult>'), again: chunk });
    expect(await outcomeOf(list)).toBe('STORE_FAILED');
  });

  it('interim answers while a body is sent', async () => {
    strike('PutObject', { type: 'raw', first: '', again: 'HTTP/1.1 102 Processing\r\n\r\n', everyMs: 5 });
    const write = () =>
      scene.store.write(KEY, pieces(data, 9000), { ifExists: 'replace', metadata: {}, signal });
    expect(await outcomeOf(write)).toBe('STORE_STALLED');
  });
});

describe('a service that has never answered', () => {
  it('gets a second, shorter chance, and a line says so', async () => {
    const warnings: string[] = [];
    const store = await createS3Store({
      ...s3Options(scene.server, { bucket: 'test-bucket' }),
      stallTimeoutMs: 500,
      emit: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    strike('GetObject', { type: 'stall' });
    expect(await outcomeOf(() => store.stat(KEY, { signal }))).toBe('STORE_STALLED');
    expect(scene.server.count('GetObject')).toBe(2);
    expect(warnings).toEqual([
      expect.stringMatching(/has not answered within 0\.5 s: trying again, for 0\.5 s at most/),
    ]);
    store.close();
  });
});

describe('a content coding', () => {
  it('is never asked for, and no signature covers that', async () => {
    expect(await stat()).toBeUndefined();
    const headers = scene.server.requests[0]?.headers;
    expect(headers?.['accept-encoding']).toBe('identity');
    expect(headers?.['authorization']).toMatch(/SignedHeaders=(?!.*accept-encoding)/);
  });

  it('of a proxy is an error of the network, for an object and for a listing', async () => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    const encoded = gzipSync(data);
    const head = `HTTP/1.1 206 Partial Content\r\netag: "x"\r\ncontent-range: bytes 0-${data.length - 1}/${data.length}\r\ncontent-encoding: gzip\r\n`;
    for (const length of ['', `content-length: ${encoded.length}\r\n`]) {
      const first = Buffer.concat([Buffer.from(`${head}${length}connection: close\r\n\r\n`), encoded]);
      strike('GetObject', { type: 'raw', first }, 3);
      expect(await outcomeOf(() => scene.store.open(KEY, { signal }))).toBe('STORE_FAILED');
    }
    const page = gzipSync('<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>');
    const answer = `HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: ${page.length}\r\nconnection: close\r\n\r\n`;
    strike('ListObjectsV2', { type: 'raw', first: Buffer.concat([Buffer.from(answer), page]) });
    expect(await outcomeOf(list)).toBe('STORE_FAILED');
  });

  it('that a copying tool declared does no harm', async () => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    strike('GetObject', { type: 'headers', headers: { 'content-encoding': 'gzip' } });
    expect(await readAll(await present(scene.store, KEY))).toEqual(data);
  });
});

describe('a date that is none', () => {
  it.each(['yesterday', 'Fri, 31 Dec 99999 23:59:59 GMT', '', null])(
    'Last-Modified: %j is unknown, and the object is read',
    async (value) => {
      scene.server.place('test-bucket', { key: KEY, body: data });
      strike('GetObject', { type: 'headers', headers: { 'last-modified': value, expires: 'nonsense' } });
      const entry = await present(scene.store, KEY);
      expect(entry.info.modified).toBeUndefined();
      expect(await readAll(entry)).toEqual(data);
    },
  );

  it('numbers that are none in headers nobody needs do no harm either', async () => {
    scene.server.place('test-bucket', { key: KEY, body: data });
    const headers = { 'x-amz-missing-meta': 'NaN', 'x-amz-mp-parts-count': 'many', 'x-amz-restore': 'x' };
    strike('GetObject', { type: 'headers', headers });
    expect(await readAll(await present(scene.store, KEY))).toEqual(data);
  });
});

describe('the clock of the service', () => {
  it('is the one that tells the age of entries', async () => {
    const behind = await startS3Server({ clockOffsetMs: -600_000 });
    const store = await createS3Store(s3Options(behind, { bucket: 'test-bucket' }));
    const before = Date.now();
    expect(Math.abs(store.now() - before)).toBeLessThan(300_000);
    await store.stat(KEY, { signal });
    expect(Math.abs(store.now() - (before - 600_000))).toBeLessThan(300_000);
    store.close();
    await behind.close();
  });
});

it.each(['us-east-1.evil.example/x#', 'a b', '%1b'])(
  'a redirect to the region "%s" is not followed',
  async (region) => {
    const headers = { 'x-amz-bucket-region': region };
    strike('GetObject', { type: 'error', status: 301, code: 'PermanentRedirect', headers });
    expect(await outcomeOf(stat)).toBe('STORE_WRONG_REGION');
    expect(scene.server.requests).toHaveLength(1);
  },
);

it.each([
  [400, 'RequestRateLimitExceeded'],
  [400, 'QpsLimitExceeded'],
  [400, 'DownloadTrafficRateLimitExceeded'],
  [403, 'RequestThrottled'],
  [429, 'TooManyRequestsException'],
  [503, 'ServerBusy'],
])('%i %s asks for patience', async (status, code) => {
  strike('GetObject', { type: 'error', status, code }, 3);
  expect(await stat()).toBeUndefined();
  strike('GetObject', { type: 'error', status, code });
  expect(await outcomeOf(stat)).toBe('STORE_BUSY');
});
