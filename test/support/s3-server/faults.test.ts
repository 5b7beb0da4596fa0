import { randomBytes } from 'node:crypto';
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { GetObjectCommandInput, S3Client } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createClient } from '../s3-client.ts';
import { startS3Server } from '../s3-server.ts';
import type { FaultEffect, S3Server } from '../s3-server.ts';

const Bucket = 'test-bucket';
const Key = 'object';
const body = randomBytes(300_000);

let server: S3Server;
let client: S3Client;

beforeEach(async () => {
  server = await startS3Server();
  client = createClient(server);
  server.place(Bucket, { key: Key, body });
});

afterEach(async () => {
  client.destroy();
  await server.close();
});

function fault(operation: string, effect: FaultEffect, times?: number): void {
  server.faults.add({
    match: (request) => request.operation === operation,
    effect,
    ...(times !== undefined && { times }),
  });
}

interface Fetched {
  /** What arrived before the end or the error. */
  bytes: Buffer;
  error?: { name: string; code?: string; $metadata?: { httpStatusCode?: number } };
  status?: number | undefined;
  contentRange?: string | undefined;
}

async function get(input: Partial<GetObjectCommandInput> = {}): Promise<Fetched> {
  const chunks: Buffer[] = [];
  const seen: Omit<Fetched, 'bytes'> = {};
  try {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key, ...input }));
    seen.status = answer.$metadata.httpStatusCode;
    seen.contentRange = answer.ContentRange;
    for await (const chunk of answer.Body as AsyncIterable<Buffer>) chunks.push(chunk);
  } catch (error) {
    seen.error = error as NonNullable<Fetched['error']>;
  }
  return { ...seen, bytes: Buffer.concat(chunks) };
}

it('reset: before the headers, after so many bytes, and once', async () => {
  fault('GetObject', { type: 'reset' });
  expect((await get()).error).toMatchObject({ code: 'ECONNRESET' });
  fault('GetObject', { type: 'reset', responseBytes: 100_000 });
  const cut = await get();
  expect(cut.error).toMatchObject({ code: 'ECONNRESET' });
  expect(cut.bytes.equals(body.subarray(0, 100_000))).toBe(true);
  expect((await get()).bytes.equals(body)).toBe(true);
  expect(server.faults.left).toBe(0);
});

it('reset: while the request is coming in, and after it was carried out', async () => {
  const put = () => client.send(new PutObjectCommand({ Bucket, Key: 'new', Body: randomBytes(1_000_000) }));
  fault('PutObject', { type: 'reset', requestBytes: 200_000 });
  await expect(put()).rejects.toMatchObject({ code: expect.stringMatching(/ECONNRESET|EPIPE/) as string });
  expect(server.read(Bucket, 'new')).toBeUndefined();
  fault('PutObject', { type: 'reset', answered: true });
  await expect(put()).rejects.toMatchObject({ code: 'ECONNRESET' });
  expect(server.read(Bucket, 'new')).toHaveLength(1_000_000);
});

it('stall: holds the connection open until the server closes', async () => {
  fault('GetObject', { type: 'stall' });
  fault('GetObject', { type: 'stall', responseBytes: 50_000 });
  const early = get();
  const late = get({ Range: 'bytes=0-99999' });
  const settled = Promise.race([early, late]).then(() => 'settled');
  await expect.poll(() => server.requests.length).toBe(2);
  // Two whole requests served meanwhile: enough for an answer to come, if one was on its way.
  await get();
  await get();
  expect(await Promise.race([settled, Promise.resolve('waiting')])).toBe('waiting');
  await server.close();
  expect((await early).error).toMatchObject({ code: 'ECONNRESET' });
  expect((await late).error).toBeDefined();
});

it('trickle and delay: everything comes, in time', async () => {
  fault('GetObject', { type: 'trickle', bytes: 100_000, everyMs: 1 });
  expect((await get()).bytes.equals(body)).toBe(true);
  fault('GetObject', { type: 'delay', ms: 5 });
  expect((await get()).bytes.equals(body)).toBe(true);
});

it('error: any status and code, with nothing carried out', async () => {
  fault('GetObject', { type: 'error', status: 503, code: 'SlowDown' }, 2);
  for (let count = 0; count < 2; count++) {
    expect((await get()).error).toMatchObject({ name: 'SlowDown', $metadata: { httpStatusCode: 503 } });
  }
  fault('PutObject', {
    type: 'error',
    status: 403,
    code: 'ExpiredToken',
    message: 'The provided token has expired.',
  });
  const put = client.send(new PutObjectCommand({ Bucket, Key: 'new', Body: randomBytes(3_000_000) }));
  await expect(put).rejects.toMatchObject({ name: 'ExpiredToken' });
  expect(server.read(Bucket, 'new')).toBeUndefined();
});

it('error-in-200: as a late failure of CompleteMultipartUpload', async () => {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'new' }));
  const upload = { Bucket, Key: 'new', UploadId };
  const { ETag, ChecksumCRC32 } = await client.send(
    new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'x' }),
  );
  const MultipartUpload = { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32 }] };
  const complete = () => client.send(new CompleteMultipartUploadCommand({ ...upload, MultipartUpload }));
  fault('CompleteMultipartUpload', { type: 'error-in-200', code: 'PreconditionFailed' });
  await expect(complete()).rejects.toMatchObject({ name: 'PreconditionFailed' });
  expect(server.bucket(Bucket).uploads.size).toBe(1);
  await complete();
  expect(server.read(Bucket, 'new')?.toString()).toBe('x');
});

it('html: something else than S3 answers', async () => {
  fault('GetObject', { type: 'html', status: 200 });
  const page = await client.send(new GetObjectCommand({ Bucket, Key }));
  expect(await page.Body?.transformToString()).toContain('<html>');
  expect(page.$metadata.requestId).toBeUndefined();
  fault('GetObject', { type: 'html', status: 404 });
  expect((await get()).error).toMatchObject({ name: 'NotFound' });
});

it('short-body and cut-body: fewer bytes than promised, fewer than asked for', async () => {
  fault('GetObject', { type: 'short-body', bytes: 1000 });
  const short = await get();
  expect(short.error).toBeDefined();
  expect(short.bytes.equals(body.subarray(0, 1000))).toBe(true);
  fault('GetObject', { type: 'cut-body', bytes: 10 });
  const cut = await get({ Range: 'bytes=0-99' });
  expect(cut.error).toBeUndefined();
  expect(cut.bytes.equals(body.subarray(0, 90))).toBe(true);
});

it('content-range and ignore-range: ranges that lie, or are not known', async () => {
  fault('GetObject', { type: 'content-range', value: 'bytes 5-9/300000' });
  expect(await get({ Range: 'bytes=0-4' })).toMatchObject({ status: 206, contentRange: 'bytes 5-9/300000' });
  fault('GetObject', { type: 'content-range', value: null });
  expect(await get({ Range: 'bytes=0-4' })).toMatchObject({ status: 206, contentRange: undefined });
  fault('GetObject', { type: 'ignore-range' });
  const whole = await get({ Range: 'bytes=0-4' });
  expect(whole.status).toBe(200);
  expect(whole.bytes.equals(body)).toBe(true);
});

it('ignore-conditions: as servers do that know none', async () => {
  const put = () => client.send(new PutObjectCommand({ Bucket, Key, Body: 'new', IfNoneMatch: '*' }));
  await expect(put()).rejects.toMatchObject({ name: 'PreconditionFailed' });
  fault('PutObject', { type: 'ignore-conditions' });
  await put();
  expect(server.read(Bucket, Key)?.toString()).toBe('new');
});

it('headers, flip and before: a wrong ETag, a wrong byte, another object between two requests', async () => {
  fault('GetObject', { type: 'headers', headers: { ETag: '"wrong"' } });
  expect((await client.send(new GetObjectCommand({ Bucket, Key, Range: 'bytes=0-0' }))).ETag).toBe('"wrong"');
  fault('GetObject', { type: 'flip', at: 150_000 });
  const { bytes } = await get({ Range: 'bytes=100000-199999' });
  const differing = [...bytes].flatMap((byte, index) => (byte === body[100_000 + index] ? [] : [index]));
  expect(differing).toEqual([50_000]);
  fault('GetObject', {
    type: 'before',
    run: () => void server.place(Bucket, { key: Key, body: Buffer.from('other') }),
  });
  expect((await get()).bytes.toString()).toBe('other');
});

it('the log tells what was asked, by whom, and what was answered', async () => {
  await get({ Range: 'bytes=0-9' });
  await get({ Key: 'missing' });
  expect(server.requests).toMatchObject([
    {
      index: 0,
      method: 'GET',
      operation: 'GetObject',
      bucket: Bucket,
      key: Key,
      range: 'bytes=0-9',
      status: 206,
    },
    { operation: 'GetObject', key: 'missing', range: undefined, status: 404 },
  ]);
  expect(server.requests[0]?.accessKeyId).toBe(server.credentials.accessKeyId);
  expect(server.count('GetObject')).toBe(2);
  expect(server.count('GetObject', 'missing')).toBe(1);
});
