import type { IncomingHttpHeaders } from 'node:http';
import { s3Error } from './errors.ts';
import { header, textBody, xmlAnswer } from './exchange.ts';
import type { Answer, Exchange } from './exchange.ts';
import { md5Hex, wholeSeconds } from './storage.ts';
import type { StoredBucket, StoredObject } from './storage.ts';
import { xmlAll, xmlDocument, xmlText } from './xml.ts';

const MAX_SINGLE_PUT = 5 * 1024 ** 3;
const KEPT_HEADERS = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
  'x-amz-server-side-encryption',
  'x-amz-server-side-encryption-aws-kms-key-id',
  'x-amz-server-side-encryption-bucket-key-enabled',
  'x-amz-storage-class',
];

export function getObject(exchange: Exchange): Answer {
  const object = objectFor(exchange);
  const headers = objectHeaders(object);
  if (exchange.headers['x-amz-checksum-mode'] === 'ENABLED' && exchange.headers.range === undefined) {
    addChecksum(headers, object);
  }
  const matched = readCondition(exchange.headers, object);
  if (matched !== undefined) return { status: matched, headers };
  const range = parseRange(exchange.headers.range, object.size);
  if (range === undefined) {
    headers['content-length'] = String(object.size);
    return { status: 200, headers, body: { chunks: object.chunks, start: 0, end: object.size } };
  }
  headers['content-length'] = String(range.end - range.start);
  headers['content-range'] = `bytes ${range.start}-${range.end - 1}/${object.size}`;
  return { status: 206, headers, body: { chunks: object.chunks, ...range } };
}

export function headObject(exchange: Exchange): Answer {
  const object = objectFor(exchange);
  const headers = objectHeaders(object);
  if (exchange.headers['x-amz-checksum-mode'] === 'ENABLED') addChecksum(headers, object);
  const matched = readCondition(exchange.headers, object);
  if (matched !== undefined) return { status: matched, headers };
  headers['content-length'] = String(object.size);
  return { status: 200, headers };
}

export async function putObject(exchange: Exchange): Promise<Answer> {
  const { key, headers } = exchange;
  const bucket = exchange.bucket();
  requireLength(headers);
  const body = await exchange.body();
  checkWriteCondition(exchange, bucket.objects.get(key));
  const object: StoredObject = {
    key,
    chunks: body.chunks,
    size: body.size,
    etag: body.md5.toString('hex'),
    modified: wholeSeconds(exchange.now),
    headers: keptHeaders(headers),
    checksum: body.checksum === undefined ? undefined : { ...body.checksum, type: 'FULL_OBJECT' },
  };
  bucket.objects.set(key, object);
  const answer = { etag: `"${object.etag}"`, ...encryptionHeaders(object.headers) };
  addChecksum(answer, object);
  return { status: 200, headers: answer };
}

export function deleteObject(exchange: Exchange): Answer {
  const bucket = exchange.bucket();
  const wanted = header(exchange.headers, 'if-match');
  const object = bucket.objects.get(exchange.key);
  if (wanted !== undefined && object !== undefined) checkWriteMatch(exchange, wanted, object);
  bucket.objects.delete(exchange.key);
  return { status: 204 };
}

export async function deleteObjects(exchange: Exchange): Promise<Answer> {
  const bucket = exchange.bucket();
  const document = await textBody(exchange);
  const { md5, checksum } = await exchange.body();
  if (exchange.headers['content-md5'] === undefined && checksum === undefined) {
    throw s3Error('InvalidRequest', {
      message: `Missing required header for this request: Content-MD5 OR x-amz-checksum-* (${md5.length})`,
    });
  }
  const quiet = xmlText(document, 'Quiet') === 'true';
  const deleted: { Key: string }[] = [];
  const errors: { Key: string; Code: string; Message: string }[] = [];
  for (const entry of xmlAll(document, 'Object')) {
    const Key = xmlText(entry, 'Key');
    if (Key === undefined) throw s3Error('MalformedXML');
    const etag = xmlText(entry, 'ETag');
    const object = bucket.objects.get(Key);
    if (etag !== undefined && object !== undefined && !matches(etag, object)) {
      errors.push({ Key, Code: 'PreconditionFailed', Message: preconditionFailed('If-Match').message });
      continue;
    }
    bucket.objects.delete(Key);
    deleted.push({ Key });
  }
  return xmlAnswer(xmlDocument('DeleteResult', { Deleted: quiet ? undefined : deleted, Error: errors }));
}

/** For tests: puts an object in place without a request. */
export function placeObject(
  bucket: StoredBucket,
  options: { key: string; body: Uint8Array; metadata?: Record<string, string>; modified?: Date },
): StoredObject {
  const chunks = [Buffer.from(options.body)];
  const object: StoredObject = {
    key: options.key,
    chunks,
    size: options.body.length,
    etag: md5Hex(chunks),
    modified: wholeSeconds(options.modified ?? new Date()),
    headers: Object.fromEntries(
      Object.entries(options.metadata ?? {}).map(([name, value]) => [`x-amz-meta-${name}`, value]),
    ),
  };
  bucket.objects.set(options.key, object);
  return object;
}

/** `If-None-Match: *` and `If-Match` of a write, looked at in the same step that stores it: one of many writers wins. */
export function checkWriteCondition(exchange: Exchange, present: StoredObject | undefined): void {
  const { headers } = exchange;
  const absent = header(headers, 'if-none-match');
  if (absent !== undefined) {
    if (absent.trim() !== '*') throw s3Error('NotImplemented');
    if (present !== undefined) throw preconditionFailed('If-None-Match');
  }
  const wanted = header(headers, 'if-match');
  if (wanted === undefined) return;
  if (present === undefined) throw s3Error('NoSuchKey');
  checkWriteMatch(exchange, wanted, present);
}

function checkWriteMatch({ refusesPartsEtag }: Exchange, wanted: string, present: StoredObject): void {
  if (refusesPartsEtag !== undefined && present.etag.includes('-')) throw s3Error(refusesPartsEtag);
  if (!matches(wanted, present)) throw preconditionFailed('If-Match');
}

export function keptHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const kept: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined) continue;
    if (KEPT_HEADERS.includes(name) || name.startsWith('x-amz-meta-')) kept[name] = String(value);
  }
  const encoding = (kept['content-encoding'] ?? '')
    .split(',')
    .map((coding) => coding.trim())
    .filter((coding) => coding !== '' && coding !== 'aws-chunked');
  delete kept['content-encoding'];
  if (encoding.length > 0) kept['content-encoding'] = encoding.join(',');
  return kept;
}

export function encryptionHeaders(kept: Readonly<Record<string, string>>): Record<string, string> {
  const own = Object.entries(kept).filter(([name]) => name.startsWith('x-amz-server-side-encryption'));
  return { 'x-amz-server-side-encryption': 'AES256', ...Object.fromEntries(own) };
}

/** S3 never takes a body whose length it does not know beforehand. */
export function requireLength(headers: IncomingHttpHeaders): void {
  const length = header(headers, 'x-amz-decoded-content-length') ?? header(headers, 'content-length');
  if (length === undefined) throw s3Error('MissingContentLength');
  if (Number(length) > MAX_SINGLE_PUT) throw s3Error('EntityTooLarge');
}

export function addChecksum(headers: Record<string, string>, object: StoredObject): void {
  if (object.checksum === undefined) return;
  headers[`x-amz-checksum-${object.checksum.algorithm}`] = object.checksum.value;
  headers['x-amz-checksum-type'] = object.checksum.type;
}

function objectFor(exchange: Exchange): StoredObject {
  const object = exchange.bucket().objects.get(exchange.key);
  if (object !== undefined) return object;
  throw exchange.mayList
    ? s3Error('NoSuchKey', { elements: { Key: exchange.key } })
    : s3Error('AccessDenied');
}

function objectHeaders(object: StoredObject): Record<string, string> {
  return {
    'accept-ranges': 'bytes',
    etag: `"${object.etag}"`,
    'last-modified': object.modified.toUTCString(),
    'content-type': 'binary/octet-stream',
    ...encryptionHeaders(object.headers),
    ...object.headers,
  };
}

/** 304 when the caller has it already; undefined when it shall be sent. */
function readCondition(headers: IncomingHttpHeaders, object: StoredObject): 304 | undefined {
  const wanted = header(headers, 'if-match');
  if (wanted !== undefined && !matches(wanted, object)) throw preconditionFailed('If-Match');
  const known = header(headers, 'if-none-match');
  return known !== undefined && matches(known, object) ? 304 : undefined;
}

/** One `bytes=` range; anything else is ignored and the whole object sent, as S3 does. */
function parseRange(value: string | undefined, size: number): { start: number; end: number } | undefined {
  const match = /^bytes=(\d*)-(\d*)$/.exec(value ?? '');
  if (match === null) return undefined;
  const [, first = '', last = ''] = match;
  if (first === '' && last === '') return undefined;
  if (first !== '' && last !== '' && Number(last) < Number(first)) return undefined;
  const start = first === '' ? Math.max(size - Number(last), 0) : Number(first);
  const end = first === '' || last === '' ? size : Math.min(Number(last) + 1, size);
  if (start >= end) {
    throw s3Error('InvalidRange', {
      elements: { RangeRequested: value ?? '', ActualObjectSize: String(size) },
      headers: { 'content-range': `bytes */${size}` },
    });
  }
  return { start, end };
}

export function matches(condition: string, object: StoredObject): boolean {
  return condition
    .split(',')
    .map((tag) => tag.trim())
    .some((tag) => tag === '*' || tag.replace(/^"|"$/g, '') === object.etag);
}

function preconditionFailed(Condition: string): ReturnType<typeof s3Error> {
  return s3Error('PreconditionFailed', { elements: { Condition } });
}
