/** What one answer of S3 says about an object, checked before anything is believed. */
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import type { EntryInfo } from '../../store.ts';
import { foreignEncoding } from '../connection/guard-responses.ts';
import type { Connection } from '../connection/connection.ts';
import { notS3 } from '../errors/context.ts';
import { TransferError } from '../errors/classify.ts';
import { inspect } from '../errors/inspect.ts';
import { HiddenError, isAbsent } from './absence.ts';
import { expiryDate } from './due.ts';

/** Metadata that holds an entry's `writeId`; not among what callers see as metadata. */
export const WRITE_ID = 'write-id';

export interface ObjectInfo {
  info: EntryInfo;
  metadata: Record<string, string>;
}

export interface RangeRequest {
  key: string;
  /** First byte. */
  start: number;
  /** One past the last byte. */
  end: number;
  /** Only this object. */
  etag?: string;
}

export interface RangeAnswer extends ObjectInfo {
  /** False when the server ignored the range and sends the whole object. */
  partial: boolean;
  /** Where `body` begins. */
  offset: number;
  body: Readable;
}

/**
 * One attempt at reading a range.
 * @throws what the SDK threw, or TransferError when the answer contradicts the request, or CacheError
 *   STORE_NOT_S3.
 */
export async function getRange(
  connection: Connection,
  request: RangeRequest,
  signal: AbortSignal,
): Promise<RangeAnswer> {
  const { key, start, end, etag } = request;
  const command = new GetObjectCommand({
    Bucket: connection.bucket,
    Key: key,
    Range: `bytes=${start}-${end - 1}`,
    ...(etag === undefined ? {} : { IfMatch: `"${etag}"` }),
  });
  const answer = await connection.attempt((client) => client.send(command, { abortSignal: signal }), signal);
  // Typed for every platform; under Node it is the response itself.
  const body = answer.Body as unknown as Readable;
  // Ended by whoever reads it: an error with no listener would end the process.
  body.on('error', () => {});
  try {
    return { ...describe(connection, key, answer), ...checkRange(answer, request), body };
  } catch (error) {
    body.destroy();
    throw error;
  }
}

/**
 * Looks at an object without reading it. A ranged GET, because the answer to a HEAD has no body: it cannot
 * say whether the key or the bucket is missing, nor why access is denied.
 */
export async function lookUp(
  connection: Connection,
  key: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  const retry = connection.retry(signal);
  for (;;) {
    try {
      const { body, partial, info, metadata } = await getRange(connection, { key, start: 0, end: 1 }, signal);
      // One byte is read, to keep the connection; a whole object is not.
      if (partial) body.resume();
      else body.destroy();
      return { info, metadata };
    } catch (error) {
      if (isMissing(error) || (await isAbsent(connection, { key, error }, signal))) return undefined;
      if (inspect(error).name === 'InvalidRange') return lookUpEmpty(connection, key, signal);
      await retry.wait(error);
    }
  }
}

/** The same for whoever can go on without knowing: what may not be seen counts as missing. */
export async function lookUpIfVisible(
  connection: Connection,
  key: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  try {
    return await lookUp(connection, key, signal);
  } catch (error) {
    if (error instanceof HiddenError) return undefined;
    throw error;
  }
}

/** An object without a first byte has no range to ask for. */
export async function lookUpEmpty(
  connection: Connection,
  key: string,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  const command = new GetObjectCommand({ Bucket: connection.bucket, Key: key });
  const answer = await connection.send((client) => client.send(command, { abortSignal: signal }), signal);
  (answer.Body as unknown as Readable).on('error', () => {}).destroy();
  return describe(connection, key, answer);
}

export function isMissing(error: unknown): boolean {
  const { name, status, hasCode } = inspect(error);
  return name === 'NoSuchKey' || (status === 404 && hasCode && name === 'NotFound');
}

function describe(connection: Connection, key: string, answer: GetObjectCommandOutput): ObjectInfo {
  const { ETag: etag, ContentRange: range, ContentLength: length } = answer;
  const context = connection.context({ action: 's3:GetObject', key });
  if (etag === undefined) throw notS3(context, 'its answer to GET has no ETag');
  const size = range === undefined ? length : parseContentRange(range)?.size;
  if (size === undefined)
    throw new TransferError('nonsense', `the answer does not say how long the object is`);
  const { [WRITE_ID]: writeId, ...metadata } = answer.Metadata ?? {};
  return {
    info: {
      key,
      size,
      etag: plainEtag(etag),
      writeId,
      modified: answer.LastModified,
      expires: expiryDate(answer.Expiration),
    },
    metadata,
  };
}

function checkRange(
  answer: GetObjectCommandOutput,
  { start, end, etag }: RangeRequest,
): { partial: boolean; offset: number } {
  if (etag !== undefined && plainEtag(answer.ETag ?? '') !== etag) throw new ReplacedError();
  const encoding = foreignEncoding(answer.ContentEncoding);
  if (answer.$metadata.httpStatusCode !== 206) {
    if (encoding !== undefined) throw encoded(encoding);
    return { partial: false, offset: 0 };
  }
  const range = parseContentRange(answer.ContentRange ?? '');
  if (range === undefined || range.start !== start || range.end > end) {
    throw new TransferError(
      'nonsense',
      `asked for bytes ${start}-${end - 1}, got "${answer.ContentRange ?? ''}"`,
    );
  }
  // Tools that copy entries declare them as gzip, and they come as they are stored. What a proxy has encoded
  // has another length.
  if (encoding !== undefined && answer.ContentLength !== range.end - range.start) throw encoded(encoding);
  if (answer.ContentLength !== undefined && answer.ContentLength !== range.end - range.start) {
    throw new TransferError(
      'nonsense',
      `Content-Length ${answer.ContentLength} contradicts "${answer.ContentRange}"`,
    );
  }
  return { partial: true, offset: start };
}

function encoded(encoding: string): TransferError {
  return new TransferError('nonsense', `the object came encoded (${encoding}), which was not asked for`);
}

/** Sample value: `bytes 0-8388607/61865984` (RFC 9110 section 14.4). `end` is one past the last byte. */
function parseContentRange(text: string): { start: number; end: number; size: number } | undefined {
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(text);
  if (match === null) return undefined;
  return { start: Number(match[1]), end: Number(match[2]) + 1, size: Number(match[3]) };
}

/** The server ignores `If-Match`, and a different object is under the key now. */
export class ReplacedError extends Error {
  override readonly name = 'PreconditionFailed';
}

/** `"9b2cf5…-4"` → `9b2cf5…-4`. Some servers list ETags without quotes that they send with them. */
export function plainEtag(etag: string): string {
  return etag.replace(/^W\//, '').replace(/^"(.*)"$/, '$1');
}
