/**
 * The fault matrix of uploads that copy: what a fault that passes, and one that stays, make of each kind of
 * request. `not copied` is for refusals alone; then nothing is left, and the same upload without copies succeeds.
 */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { bytesOf, type Chunk } from '../../../../src/async/chunks.ts';
import type { Copies, Store } from '../../../../src/store/store.ts';
import type { FaultEffect } from '../../../support/s3-server.ts';
import { sha256 } from '../../contract.ts';
import {
  denied,
  type FaultCase,
  faultsAnywhere,
  FOREVER,
  KEY,
  MIB,
  type Outcome,
  outcomeOf,
  useScene,
} from '../faults.ts';

const OLDER = 'cache/older.tar.gz';
const BUCKET = 'test-bucket';
const signal = new AbortController().signal;
const older = Array.from({ length: 8 }, () => randomBytes(2 * MIB));
const newer = [randomBytes(100_000), ...older, randomBytes(100_000)];

async function* iterate<T>(all: readonly T[]): AsyncGenerator<T> {
  yield* all;
}

async function writeOlder(store: Store): Promise<Copies['from']> {
  const written = await store.write(OLDER, iterate(older), { signal, ifExists: 'keep', metadata: {} });
  if (written.type !== 'saved') throw new Error(written.type);
  return { key: OLDER, ...written };
}

function chunks(): AsyncIterable<Chunk> {
  return iterate(
    newer.map((bytes) => {
      const n = older.indexOf(bytes);
      const { length } = bytes;
      return n === -1 ? bytes : { offset: n * 2 * MIB, length, read: () => Promise.resolve(bytes) };
    }),
  );
}

const refused = (code: string, status = 400): FaultEffect => ({ type: 'error', status, code });

const told = (text: string): FaultEffect => ({ type: 'document', make: () => text });

const cases: FaultCase<Outcome | 'not copied'>[] = [];
for (const operation of ['CreateMultipartUpload', 'UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload'])
  cases.push(...faultsAnywhere(operation), [
    '403',
    operation,
    denied,
    FOREVER,
    operation === 'UploadPartCopy' ? 'not copied' : 'STORE_ACCESS_DENIED',
  ]);
for (const operation of ['UploadPart', 'UploadPartCopy', 'CompleteMultipartUpload'])
  cases.push(['answer lost', operation, { type: 'reset', answered: true }, 1, 'recovered']);
cases.push(
  ['answer lost', 'CompleteMultipartUpload', { type: 'reset', answered: true }, FOREVER, 'recovered'],
  ['error in a 200', 'UploadPartCopy', { type: 'error-in-200', code: 'InternalError' }, 2, 'recovered'],
  ['no such operation', 'UploadPartCopy', refused('NotImplemented', 501), FOREVER, 'not copied'],
  ['an answer that tells nothing', 'UploadPartCopy', told('<CopyPartResult/>'), FOREVER, 'not copied'],
  ['an answer without a body', 'UploadPartCopy', told(''), FOREVER, 'not copied'],
  ['no such source', 'UploadPartCopy', refused('NoSuchKey', 404), FOREVER, 'not copied'],
  ['another source', 'UploadPartCopy', refused('PreconditionFailed', 412), FOREVER, 'not copied'],
  ['parts of several sizes', 'CompleteMultipartUpload', refused('InvalidPart'), FOREVER, 'not copied'],
  ['no such checksum', 'CreateMultipartUpload', refused('InvalidRequest'), FOREVER, 'not copied'],
  ['upload removed meanwhile', 'UploadPartCopy', refused('NoSuchUpload', 404), FOREVER, 'STORE_FAILED'],
  ['storage full', 'UploadPart', refused('XMinioStorageFull', 507), FOREVER, 'STORE_FAILED'],
);

describe('an upload that copies', () => {
  const scene = useScene();

  it.each(cases)('%s at %s (%o, %i times): %s', async (_, operation, effect, times, outcome) => {
    const from = await writeOlder(scene.store);
    scene.server.faults.add({ match: (request) => request.operation === operation, times, effect });
    let type: string | undefined;
    const write = async (copies?: Copies): Promise<void> => {
      const body = bytesOf(copies?.chunks ?? chunks());
      const options = { signal, ifExists: 'keep', metadata: {}, copies } as const;
      type = (await scene.store.write(KEY, body, options)).type;
    };
    const came = await outcomeOf(() => write({ from, chunks: chunks() }));
    expect(type === 'not copied' ? type : came).toBe(outcome);
    const { objects, uploads } = scene.server.bucket(BUCKET);
    expect(uploads.size).toBe(0);
    expect([...objects.keys()]).toEqual(outcome === 'recovered' ? [OLDER, KEY] : [OLDER]);
    scene.server.faults.clear();
    if (outcome === 'not copied') await write();
    if (outcome !== 'recovered' && outcome !== 'not copied') return;
    expect(type).toBe('saved');
    expect(sha256(scene.server.read(BUCKET, KEY)!)).toBe(sha256(Buffer.concat(newer)));
  });
});
