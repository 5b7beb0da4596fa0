/** Servers that refuse the very ETag that they gave, for objects of several parts: Swift, and in part Ceph RGW. */
import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { createS3Store } from '../../../../src/store/s3/s3-store.ts';
import type { Store } from '../../../../src/store/store.ts';
import { startS3Server, type S3Server } from '../../../support/s3-server.ts';
import { pieces, present, readAll, sha256 } from '../../contract.ts';
import { KEY, MIB } from '../faults.ts';
import { s3Options } from '../subject.ts';

const { signal } = new AbortController();
const keep = { ifExists: 'keep', metadata: {}, signal } as const;
const large = (): Buffer => randomBytes(6 * MIB);

describe.each(['PreconditionFailed', 'InvalidRequest'] as const)('refused with %s', (refusesPartsEtag) => {
  let server: S3Server;
  let store: Store;
  let etag: string;
  beforeEach(async () => {
    server = await startS3Server({ refusesPartsEtag });
    store = await createS3Store({
      ...s3Options(server, { bucket: 'test-bucket' }),
      partSize: 5 * MIB,
      retryDelayMs: 1,
    });
    await store.write(KEY, pieces(large(), MIB), keep);
    etag = (await present(store, KEY)).info.etag;
  });
  afterEach(async () => {
    store.close();
    await server.close();
  });

  /** Another object takes the place of the one that was named, after it has been looked at. */
  function replacedBefore(operation: string): Buffer {
    const other = large();
    server.faults.add({
      match: (request) => request.operation === operation,
      effect: { type: 'before', run: () => void server.place('test-bucket', { key: KEY, body: other }) },
    });
    return other;
  }

  it('the object that was named is deleted', async () => {
    expect(await store.remove(KEY, { signal, etag })).toBe('removed');
    expect(server.read('test-bucket', KEY)).toBeUndefined();
  });

  it('one that has taken its place is not', async () => {
    const other = replacedBefore('DeleteObject');
    expect(await store.remove(KEY, { signal, etag })).toBe('another');
    expect(sha256(server.read('test-bucket', KEY)!)).toBe(sha256(other));
  });

  it.each([
    ['of one part', 1000, 'PutObject'],
    ['of several parts', 6 * MIB, 'CompleteMultipartUpload'],
  ])(
    'an entry %s takes the place of the object that was named, and of no other',
    async (_, size, operation) => {
      const body = randomBytes(size);
      const healing = { ...keep, ifExists: { etag } };
      expect(await store.write(KEY, pieces(body, MIB), healing)).toMatchObject({ type: 'saved', size });
      expect(sha256(await readAll(await present(store, KEY)))).toBe(sha256(body));

      await store.write(KEY, pieces(large(), MIB), { ...keep, ifExists: 'replace' });
      const again = { ...keep, ifExists: { etag: (await present(store, KEY)).info.etag } };
      const other = replacedBefore(operation);
      expect(await store.write(KEY, pieces(body, MIB), again)).toEqual({ type: 'exists' });
      expect(sha256(server.read('test-bucket', KEY)!)).toBe(sha256(other));
      expect(server.bucket().uploads.size).toBe(0);
    },
  );
});
