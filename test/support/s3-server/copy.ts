import { createHash } from 'node:crypto';
import { createChecksum, type ChecksumAlgorithm } from './checksums.ts';
import { s3Error } from './errors.ts';
import { header, xmlAnswer } from './exchange.ts';
import type { Answer, Exchange } from './exchange.ts';
import { checkWriteCondition, encryptionHeaders, keptHeaders, matches } from './objects.ts';
import { bucketNamed, md5Hex, wholeSeconds } from './storage.ts';
import { checksumElement, partNumber, uploadFor } from './multipart.ts';
import type { StoredChecksum, StoredObject } from './storage.ts';
import { xmlDocument } from './xml.ts';

const MAX_COPY = 5 * 1024 ** 3;

/** Within one server, between its buckets. As in S3, a copy of several parts becomes an object of one. */
export function copyObject(exchange: Exchange): Answer {
  const { headers, key } = exchange;
  const source = sourceOf(exchange);
  if (source.size > MAX_COPY) throw s3Error('InvalidRequest');
  const wanted = header(headers, 'x-amz-copy-source-if-match');
  if (wanted !== undefined && !matches(wanted, source)) throw s3Error('PreconditionFailed');
  const bucket = exchange.bucket();
  const present = bucket.objects.get(key);
  const replaces = header(headers, 'x-amz-metadata-directive') === 'REPLACE';
  if (present === source && !replaces)
    throw s3Error('InvalidRequest', {
      message:
        "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
    });
  checkWriteCondition(exchange, present);
  const object: StoredObject = {
    ...source,
    key,
    etag: md5Hex(source.chunks),
    modified: wholeSeconds(exchange.now),
    headers: replaces ? keptHeaders(headers) : source.headers,
  };
  bucket.objects.set(key, object);
  const result = { ETag: `"${object.etag}"`, LastModified: object.modified.toISOString() };
  return xmlAnswer(xmlDocument('CopyObjectResult', result), encryptionHeaders(object.headers));
}

/** A range of one object becomes a part of another. */
export function uploadPartCopy(exchange: Exchange): Answer {
  const { headers } = exchange;
  const number = partNumber(exchange);
  const upload = uploadFor(exchange);
  const source = sourceOf(exchange);
  const wanted = header(headers, 'x-amz-copy-source-if-match');
  if (wanted !== undefined && !matches(wanted, source)) throw s3Error('PreconditionFailed');
  const [, first = '0', last = String(source.size - 1)] =
    /^bytes=(\d+)-(\d+)$/.exec(header(headers, 'x-amz-copy-source-range') ?? '') ?? [];
  const [start, end] = [Number(first), Number(last) + 1];
  if (start >= end || end > source.size) throw s3Error('InvalidArgument');
  const bytes = Buffer.concat(source.chunks).subarray(start, end);
  const md5 = createHash('md5').update(bytes).digest();
  const checksum = upload.checksum && checksumOf(bytes, upload.checksum.algorithm);
  const modified = wholeSeconds(exchange.now);
  upload.parts.set(number, { number, chunks: [bytes], size: bytes.length, md5, checksum, modified });
  const result = { ETag: `"${md5.toString('hex')}"`, LastModified: modified.toISOString() };
  const sum = checksum === undefined ? {} : { [checksumElement(checksum.algorithm)]: checksum.value };
  return xmlAnswer(xmlDocument('CopyPartResult', { ...result, ...sum }), encryptionHeaders(upload.headers));
}

function checksumOf(bytes: Buffer, algorithm: ChecksumAlgorithm): StoredChecksum {
  const running = createChecksum(algorithm);
  running.update(bytes);
  return { algorithm, type: 'FULL_OBJECT', value: running.digest().toString('base64') };
}

/** Sample value: `bucket/path/of%20the/key`, with or without a slash in front. */
function sourceOf({ headers, storage }: Exchange): StoredObject {
  const [bucket = '', ...path] = decodeURIComponent(header(headers, 'x-amz-copy-source') ?? '')
    .replace(/^\//, '')
    .split('/');
  const object = bucketNamed(storage, bucket).objects.get(path.join('/'));
  if (object === undefined) throw s3Error('NoSuchKey', { elements: { Key: path.join('/') } });
  return object;
}
