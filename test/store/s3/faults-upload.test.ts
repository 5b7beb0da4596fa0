import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { createS3Store } from '../../../src/store/s3/s3-store.ts';
import type { LoggedRequest, S3User } from '../../support/s3-server.ts';
import { pieces, sha256, stoppable } from '../contract.ts';
import {
  denied,
  expired,
  type FaultCase,
  faultsAnywhere,
  FOREVER,
  KEY,
  MIB,
  outcomeOf,
  useScene,
} from './faults.ts';
import { startSlowProxy } from './slow-proxy.ts';
import { s3Options } from './subject.ts';

const scene = useScene();
const { signal } = new AbortController();

describe('an upload', () => {
  const data = randomBytes(5 * MIB + 100_000);
  const small = randomBytes(600_000);
  const on =
    (name: string) =>
    ({ operation }: LoggedRequest): boolean =>
      operation === name;

  const cases: FaultCase[] = [];
  const operations = ['PutObject', 'CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'];
  for (const operation of operations) {
    cases.push(...faultsAnywhere(operation), ['403', operation, denied, 1, 'STORE_ACCESS_DENIED']);
  }
  for (const operation of ['PutObject', 'UploadPart']) {
    cases.push(
      ['reset in the body', operation, { type: 'reset', requestBytes: 500_000 }, 2, 'recovered'],
      ['stall in the body', operation, { type: 'stall', requestBytes: 500_000 }, 1, 'recovered'],
      ['stall in the body', operation, { type: 'stall', requestBytes: 500_000 }, FOREVER, 'STORE_STALLED'],
    );
  }
  for (const operation of ['PutObject', 'UploadPart', 'CompleteMultipartUpload']) {
    cases.push(
      ['answer lost', operation, { type: 'reset', answered: true }, 1, 'recovered'],
      ['answer stalled', operation, { type: 'stall', answered: true }, 1, 'recovered'],
    );
  }
  cases.push(
    ['answer lost again and again', 'PutObject', { type: 'reset', answered: true }, FOREVER, 'recovered'],
    [
      'error in a 200',
      'CompleteMultipartUpload',
      { type: 'error-in-200', code: 'InternalError' },
      2,
      'recovered',
    ],
    [
      'error in a 200',
      'CompleteMultipartUpload',
      { type: 'error-in-200', code: 'InternalError' },
      FOREVER,
      'STORE_FAILED',
    ],
    [
      'conflict',
      'PutObject',
      { type: 'error', status: 409, code: 'ConditionalRequestConflict' },
      3,
      'recovered',
    ],
    [
      'conflict',
      'PutObject',
      { type: 'error', status: 409, code: 'ConditionalRequestConflict' },
      FOREVER,
      'STORE_BUSY',
    ],
    [
      'conflict',
      'CompleteMultipartUpload',
      { type: 'error', status: 409, code: 'ConditionalRequestConflict' },
      FOREVER,
      'STORE_BUSY',
    ],
    [
      'conditions not implemented',
      'PutObject',
      { type: 'error', status: 501, code: 'NotImplemented' },
      1,
      'recovered',
    ],
    [
      'conditions not implemented',
      'CompleteMultipartUpload',
      { type: 'error', status: 501, code: 'NotImplemented' },
      1,
      'recovered',
    ],
    [
      'a part without an ETag',
      'UploadPart',
      { type: 'headers', headers: { etag: null } },
      FOREVER,
      'STORE_FAILED',
    ],
    [
      'no multipart at all',
      'CreateMultipartUpload',
      { type: 'error', status: 501, code: 'NotImplemented' },
      FOREVER,
      'STORE_FAILED',
    ],
    [
      'storage full',
      'UploadPart',
      { type: 'error', status: 507, code: 'XMinioStorageFull' },
      FOREVER,
      'STORE_FAILED',
    ],
    [
      'upload removed meanwhile',
      'UploadPart',
      { type: 'error', status: 404, code: 'NoSuchUpload' },
      FOREVER,
      'STORE_FAILED',
    ],
  );

  it.each(cases)('%s, at %s', async (_, operation, effect, times, outcome) => {
    scene.server.faults.add({ match: on(operation), effect, times });
    const body = operation === 'PutObject' ? small : data;
    const write = async (): Promise<void> => {
      const saved = await scene.store.write(KEY, pieces(body, 500_000), {
        ifExists: 'keep',
        metadata: {},
        signal,
      });
      expect(saved).toMatchObject({ type: 'saved', size: body.length });
    };
    expect(await outcomeOf(write)).toBe(outcome);
    if (times !== FOREVER) expect(scene.server.faults.left).toBe(0);
    scene.server.faults.clear();
    const stored = scene.server.read('test-bucket', KEY);
    if (outcome === 'recovered') expect(sha256(stored!)).toBe(sha256(body));
    else expect(stored).toBeUndefined();
    if (!(operation === 'CreateMultipartUpload' && effect.type === 'stall'))
      expect(scene.server.bucket().uploads.size).toBe(0);
  });

  it('refused half way', async () => {
    const warnings: string[] = [];
    const { server } = scene;
    const store = await createS3Store({
      ...s3Options(server, { bucket: 'test-bucket' }),
      partSize: 5 * MIB,
      retryDelayMs: 1,
      emit: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    server.faults.add({
      match: on('UploadPart'),
      effect: { type: 'before', run: () => void server.close() },
    });
    const options = { ifExists: 'keep', metadata: {}, signal } as const;
    expect(await outcomeOf(() => store.write(KEY, pieces(data, 500_000), options))).toBe('STORE_UNREACHABLE');
    expect(server.read('test-bucket', KEY)).toBeUndefined();
    // Nobody is there who could remove it.
    expect(warnings).toEqual([expect.stringContaining('could not be removed')]);
    store.close();
  });

  it('takes AccessDenied inside a 200 for what it is, and asks once', async () => {
    scene.server.faults.add({
      match: on('CompleteMultipartUpload'),
      effect: { type: 'error-in-200', code: 'AccessDenied' },
      times: FOREVER,
    });
    const options = { ifExists: 'keep', metadata: {}, signal } as const;
    expect(await outcomeOf(() => scene.store.write(KEY, pieces(data, 500_000), options))).toBe(
      'STORE_ACCESS_DENIED',
    );
    expect(scene.server.requests.filter(on('CompleteMultipartUpload'))).toHaveLength(1);
  });

  it('asks for new credentials once those it has are expired', async () => {
    const { server } = scene;
    let asked = 0;
    // A provider, as the SDK's own chain is one: it keeps what it was given until it is told not to.
    const provider = async (): Promise<S3User> => {
      asked++;
      return server.credentials;
    };
    const store = await createS3Store({
      ...s3Options(server, { bucket: 'test-bucket' }),
      credentials: provider as unknown as S3User,
    });
    server.faults.add({ match: on('PutObject'), effect: expired });
    const options = { ifExists: 'keep', metadata: {}, signal } as const;
    await store.write(KEY, pieces(small, 500_000), options);
    store.close();
    expect(asked).toBe(2);
  });

  it.each(['PreconditionFailed', 'ConditionalRequestConflict'])(
    'takes %s inside a 200 for what it is',
    async (code) => {
      scene.server.faults.add({
        match: on('CompleteMultipartUpload'),
        effect: {
          type: 'before',
          run: () => void scene.server.place('test-bucket', { key: KEY, body: small }),
        },
      });
      scene.server.faults.add({
        match: on('CompleteMultipartUpload'),
        effect: { type: 'error-in-200', code },
        times: FOREVER,
      });
      const options = { ifExists: 'keep', metadata: {}, signal } as const;
      expect(await scene.store.write(KEY, pieces(data, 500_000), options)).toEqual({ type: 'exists' });
      expect(scene.server.bucket().uploads.size).toBe(0);
    },
  );

  describe('is looked at afterwards:', () => {
    const options = { ifExists: 'keep', metadata: {}, signal } as const;
    const afterwards = (run: () => void): void =>
      scene.server.faults.add({
        match: ({ operation }) =>
          operation === 'GetObject' && scene.server.read('test-bucket', KEY) !== undefined,
        effect: { type: 'before', run },
      });

    it('the last writer has won where no condition is honoured', async () => {
      const other = { key: KEY, body: small, metadata: { 'write-id': 'of somebody else' } };
      afterwards(() => void scene.server.place('test-bucket', other));
      expect(await scene.store.write(KEY, pieces(data, 500_000), options)).toEqual({ type: 'exists' });
    });

    it('what was taken and is not there is an error', async () => {
      afterwards(() => void scene.server.bucket().objects.delete(KEY));
      expect(await outcomeOf(() => scene.store.write(KEY, pieces(data, 500_000), options))).toBe(
        'STORE_FAILED',
      );
    });

    it('what has lost bytes on the way is an error', async () => {
      afterwards(() => void scene.server.place('test-bucket', { key: KEY, body: small }));
      expect(await outcomeOf(() => scene.store.write(KEY, pieces(data, 500_000), options))).toBe(
        'STORE_FAILED',
      );
    });
  });

  it('ends at once when a part is refused, whatever the others wait for', async () => {
    const { server } = scene;
    const patient = await createS3Store({
      ...s3Options(server, { bucket: 'test-bucket' }),
      partSize: 5 * MIB,
      stallTimeoutMs: 60_000,
    });
    const part = (number: string) => (request: LoggedRequest) => request.query.get('partNumber') === number;
    server.faults.add({ match: part('1'), effect: { type: 'stall' } });
    server.faults.add({ match: part('2'), effect: denied });
    const body = pieces(randomBytes(12 * MIB), MIB);
    const write = patient.write(KEY, body, { ifExists: 'keep', metadata: {}, signal });
    await expect(write).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    expect(server.bucket().uploads.size).toBe(0);
    patient.close();
  }, 20_000);

  it('goes on while the server reads slowly: that is no stall', async () => {
    // 16 MB/s, in parts of 32 MiB: each takes two seconds, with a stall limit of one. (The kernel takes some MB at once.)
    const slow = await startSlowProxy(scene.server.port, { bytes: 65_536, everyMs: 4 });
    const access = {
      endpoint: slow.endpoint,
      region: scene.server.region,
      credentials: scene.server.credentials,
    };
    const slowStore = await createS3Store({
      ...s3Options(access, { bucket: 'test-bucket' }),
      stallTimeoutMs: 1000,
      partSize: 32 * MIB,
      parts: 1,
    });
    const body = pieces(randomBytes(40 * MIB), MIB);
    const saved = await slowStore.write(KEY, body, { ifExists: 'keep', metadata: {}, signal });
    expect(scene.server.count('UploadPart')).toBe(2);
    expect(saved.type).toBe('saved');
    slowStore.close();
    await slow.close();
  });

  it('is taken back on an abort at any of its requests', async () => {
    for (const operation of ['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload']) {
      const { signal: stopping, stop, reason } = stoppable();
      scene.server.faults.add({ match: on(operation), effect: { type: 'before', run: stop } });
      const write = scene.store.write(KEY, pieces(data, 500_000), {
        ifExists: 'keep',
        metadata: {},
        signal: stopping,
      });
      await expect(write, operation).rejects.toBe(reason);
      expect(scene.server.bucket().uploads.size, operation).toBe(0);
    }
  });

  it('ends soon after an abort, even where nothing answers any more', async () => {
    const warnings: string[] = [];
    const { server } = scene;
    const other = await createS3Store({
      ...s3Options(server, { bucket: 'test-bucket' }),
      stallTimeoutMs: 60_000,
      emit: (event) => event.type === 'warning' && warnings.push(event.message),
    });
    server.faults.add({
      match: ({ operation }) => operation !== 'CreateMultipartUpload',
      times: FOREVER,
      effect: { type: 'stall' },
    });
    const { signal: stopping, stop, reason } = stoppable();
    const write = other.write(KEY, pieces(randomBytes(20 * MIB), MIB), {
      ifExists: 'keep',
      metadata: {},
      signal: stopping,
    });
    const ended = write.catch((error: unknown) => error);
    await expect.poll(() => server.count('UploadPart')).toBeGreaterThan(0);
    stop();
    expect(await Promise.race([ended, sleep(5000, 'still running')])).toBe(reason);
    expect(warnings).toEqual([expect.stringContaining('could not be removed')]);
    other.close();
  });

  it('says that an upload is left when even the abort is refused, and keeps the first reason', async () => {
    const warnings: string[] = [];
    const other = await createS3Store({
      ...s3Options(scene.server, { bucket: 'test-bucket' }),
      partSize: 5 * MIB,
      emit: (event) => event.type === 'warning' && warnings.push(`${event.message} ${event.hint}`),
    });
    scene.server.faults.add({ match: on('AbortMultipartUpload'), effect: denied, times: FOREVER });
    const body = async function* () {
      yield data;
      throw new Error('the reason');
    };
    await expect(other.write(KEY, body(), { ifExists: 'keep', metadata: {}, signal })).rejects.toThrow(
      'the reason',
    );
    expect(warnings).toEqual([expect.stringMatching(/could not be removed.*s3:AbortMultipartUpload/)]);
    other.close();
  });
});
