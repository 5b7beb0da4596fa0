/**
 * One entry up, straight from the iterable that makes it: lib-storage cuts it into parts and sends several at
 * once, while every request it makes passes through `UploadRequests`. It ends in one of two ways: the object
 * is there, and what is there has been looked at; or nothing of ours is, the multipart upload included.
 */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type S3Client,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { randomUUID } from 'node:crypto';
import { CacheError, reasonOf } from '../../../errors.ts';
import { withinTime } from '../../../async/abort.ts';
import type { WriteOptions, WriteOutcome } from '../../store.ts';
import { isSameObject } from '../../identity.ts';
import type { Connection } from '../connection/connection.ts';
import { classify } from '../errors/classify.ts';
import { lookUp, lookUpIfVisible, plainEtag, WRITE_ID, type ObjectInfo } from '../objects/objects.ts';
import { removeObject } from '../deletion.ts';
import { UploadRequests } from './upload-requests.ts';
import { UploadSource } from './upload-source.ts';
import { isAsItWas, MAX_PARTS, NotCopiedError, uploadWithCopies } from './upload-with-copies.ts';
import { inspect } from '../errors/inspect.ts';

export interface UploadOptions extends WriteOptions {
  body: AsyncIterable<Uint8Array>;
  /** Bytes of one part, at least 5 MiB; 10,000 of them are the limit. */
  partSize: number;
  /** Parts sent at a time. */
  parallel: number;
  sse?: 'AES256' | 'aws:kms' | 'aws:kms:dsse' | undefined;
  kmsKeyId?: string | undefined;
}

/** How long lib-storage may take to end by itself: a run must be over 2 s after its signal. */
const SETTLE_MS = { interrupted: 1200, failed: 15_000 };
/** Limit for finding out what became of an upload whose answer was lost. */
const LOOK_MS = 10_000;

export async function uploadObject(
  connection: Connection,
  key: string,
  options: UploadOptions,
): Promise<WriteOutcome> {
  const { signal, partSize } = options;
  const condition = await conditionOf(connection, key, options);
  if (condition === 'taken') {
    // Nobody will read it; whoever makes it may have begun.
    await options.body[Symbol.asyncIterator]().return?.();
    return { type: 'exists' };
  }

  const { copies } = options;
  const source = new UploadSource(copies?.chunks ?? options.body, partSize * MAX_PARTS, {
    keepsChunks: copies !== undefined,
  });
  const requests = new UploadRequests(connection, key, {
    signal,
    replaced: typeof options.ifExists === 'object' ? options.ifExists : undefined,
    onFailure: (error) => source.destroy(error),
  });
  const writeId = randomUUID();
  const input = {
    Bucket: connection.bucket,
    Key: key,
    Metadata: { ...options.metadata, [WRITE_ID]: writeId },
    ContentType: 'application/octet-stream',
    ...(options.sse === undefined ? {} : { ServerSideEncryption: options.sse }),
    ...(options.kmsKeyId === undefined ? {} : { SSEKMSKeyId: options.kmsKeyId }),
  };
  const { parallel } = options;
  const upload = (): Promise<{ ETag?: string | undefined }> =>
    copies === undefined
      ? new Upload({
          client: Object.create(connection.client, { send: { value: requests.send } }) as S3Client,
          params: { ...input, Body: source, ...condition },
          partSize,
          queueSize: parallel,
        }).done()
      : uploadWithCopies({ connection, requests, input, condition, source, copies, parallel, signal });
  const written: Written = { connection, key, options, writeId, source, requests };
  try {
    const result = await runToItsEnd(upload, written);
    if (copies !== undefined) return await afterCopying(result, written);
    return 'error' in result
      ? await afterFailure(result.error, written)
      : await afterSuccess(result.etag, written);
  } finally {
    requests.close();
  }
}

interface Written {
  connection: Connection;
  key: string;
  options: UploadOptions;
  writeId: string;
  source: UploadSource;
  requests: UploadRequests;
}

/** What the object under the key must be like for ours to take its place. */
async function conditionOf(
  connection: Connection,
  key: string,
  { ifExists, signal }: WriteOptions,
): Promise<{ IfNoneMatch?: '*'; IfMatch?: string } | 'taken'> {
  if (ifExists === 'replace') return {};
  if (ifExists === 'keep') return { IfNoneMatch: '*' };
  let present: ObjectInfo | undefined;
  try {
    present = await lookUpIfVisible(connection, key, signal);
  } catch (error) {
    signal.throwIfAborted();
    throw connection.explain(error, { action: 's3:GetObject', key });
  }
  if (present === undefined) return { IfNoneMatch: '*' };
  return isSameObject(present.info, ifExists) ? { IfMatch: `"${present.info.etag}"` } : 'taken';
}

/** Resolves when all requests of the upload have ended, with the first error. */
async function runToItsEnd(
  upload: () => Promise<{ ETag?: string | undefined }>,
  { source, requests, options: { signal } }: Written,
): Promise<{ etag: string } | { error: unknown }> {
  let failed: (error: unknown) => void = () => {};
  const failure = new Promise<{ error: unknown }>((resolve) => (failed = (error) => resolve({ error })));
  const interrupt = (): void => {
    failed(signal.reason);
    source.destroy(signal.reason as Error);
  };
  source.once('error', (error) => failed(error));
  if (signal.aborted) interrupt();
  else signal.addEventListener('abort', interrupt, { once: true });
  const done = upload().then(
    ({ ETag }) => ({ etag: plainEtag(ETag ?? '') }),
    (error: unknown) => ({ error: requests.failure ?? error }),
  );
  try {
    const result = await Promise.race([failure, done]);
    if ('etag' in result) return result;
    // lib-storage takes the upload back by itself, but may also never come back (aws-sdk-js-v3#7729).
    const settled = await withinTime(done, signal.aborted ? SETTLE_MS.interrupted : SETTLE_MS.failed);
    if (settled === undefined) await requests.takeBack();
    return result;
  } finally {
    signal.removeEventListener('abort', interrupt);
  }
}

/**
 * Where the service will not copy, an upload without copies may still succeed. Everything else ends as it would
 * without copies.
 */
async function afterCopying(
  result: { etag: string } | { error: unknown },
  written: Written,
): Promise<WriteOutcome> {
  const { connection, key, options, writeId } = written;
  const { signal } = options;
  if ('error' in result) {
    signal.throwIfAborted();
    const { error } = result;
    if (error instanceof NotCopiedError)
      return { type: 'not copied', reason: error.message, isForGood: error.isForGood };
    if (!isRefusal(error, written)) return afterFailure(error, written);
    return { type: 'not copied', reason: reasonOf(error), isForGood: await mayBlameService(written) };
  }
  try {
    return await afterSuccess(result.etag, written);
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CacheError) || error.code !== 'STORE_FAILED') throw error;
    // A service that copies something else than it was asked for.
    await removeObject(connection, key, { signal, etag: '', writeId });
    return { type: 'not copied', reason: reasonOf(error), isForGood: true };
  }
}

/** Whether a request failed that an upload without copies does not make, or makes in another way. */
function isRefusal(error: unknown, { connection, key, requests: { failure, failed } }: Written): boolean {
  if (error !== failure) return false;
  if (failed instanceof UploadPartCopyCommand && reasonOf(error) === EMPTY_ANSWER) return true;
  if (classify(error) !== 'final') return false;
  const { name } = inspect(error);
  const { code } = connection.explain(error, { action: 's3:PutObject', key });
  if (failed instanceof UploadPartCopyCommand) {
    // Reading the older entry may be forbidden, or not be possible in this way.
    const isAboutSource = name === 'NoSuchKey' || name === 'PreconditionFailed';
    return (
      isAboutSource || code === 'STORE_ACCESS_DENIED' || (code === 'STORE_FAILED' && !CONTESTED.has(name))
    );
  }
  const isAboutParts =
    failed instanceof CompleteMultipartUploadCommand || failed instanceof CreateMultipartUploadCommand;
  return isAboutParts && code === 'STORE_FAILED' && !CONTESTED.has(name);
}

/**
 * What the SDK makes of a 200 without a body. A service that takes a copy for an ordinary part answers so, however
 * often it is asked.
 */
const EMPTY_ANSWER = 'S3 aborted request';

/** Whether a copy was refused although the older entry is still there. Swift refuses its own ETag. */
async function mayBlameService({ connection, options: { copies, signal } }: Written): Promise<boolean> {
  if (copies === undefined) return false;
  const look = isAsItWas(connection, copies.from, signal).catch(() => false);
  return (await withinTime(look, LOOK_MS)) === true;
}

/** Whose object is there? Neither an answer's ETag nor that its condition was honoured is to be believed. */
async function afterSuccess(etag: string, written: Written): Promise<WriteOutcome> {
  const { connection, key, options, writeId, source } = written;
  let present: ObjectInfo | undefined;
  try {
    present = await lookUp(connection, key, options.signal);
  } catch (error) {
    options.signal.throwIfAborted();
    // Some may write and not read; some lose the network right now. The answer was a success; that is all
    // there is to know.
    const { status } = inspect(error);
    if (status === undefined || status === 403 || classify(error) !== 'final')
      return { type: 'saved', size: source.taken, etag, writeId };
    throw connection.explain(error, { action: 's3:GetObject', key });
  }
  const url = `s3://${connection.bucket}/${key}`;
  if (present === undefined) {
    throw new CacheError('STORE_FAILED', `${url} was taken by the service, but is not there`, {
      hint: 'Check for a lifecycle rule or another program that deletes it.',
    });
  }
  const { size } = present.info;
  if (present.info.writeId !== undefined && present.info.writeId !== writeId) return { type: 'exists' };
  if (size !== source.taken) {
    throw new CacheError('STORE_FAILED', `${url} has ${size} bytes where ${source.taken} were sent`, {
      hint: 'Save again with --force; if it stays, suspect the service or a proxy.',
    });
  }
  return { type: 'saved', size, etag: present.info.etag, writeId };
}

/** A refused condition is no error. And after a lost answer the object may be there all the same. */
async function afterFailure(failure: unknown, written: Written): Promise<WriteOutcome> {
  const { connection, key, options, writeId, source, requests } = written;
  options.signal.throwIfAborted();
  // The body's own failure is not ours to explain.
  if (failure === source.errored && failure !== requests.failure) throw failure;
  const explained = connection.explain(failure, { action: 's3:PutObject', key });
  const { name } = inspect(failure);
  const uncertain = CONTESTED.has(name) || (requests.published && classify(failure) !== 'final');
  if (!uncertain) throw explained;
  const look = lookUp(connection, key, options.signal).catch(() => undefined);
  const present = await withinTime(look, LOOK_MS);
  options.signal.throwIfAborted();
  if (present?.info.writeId === writeId && present.info.size === source.taken) {
    return { type: 'saved', size: present.info.size, etag: present.info.etag, writeId };
  }
  if (present !== undefined && options.ifExists !== 'replace') return { type: 'exists' };
  // It was refused because of an object that is no longer there, so somebody has removed it.
  if (name !== 'PreconditionFailed') throw explained;
  throw new CacheError(
    'STORE_BUSY',
    `s3://${connection.bucket}/${key} is being written and removed by others`,
    {
      hint: 'Save again.',
      cause: explained.cause,
    },
  );
}

/** `NoSuchUpload`: a completion whose answer was lost, sent again. */
const CONTESTED = new Set(['PreconditionFailed', 'ConditionalRequestConflict', 'NoSuchUpload']);
