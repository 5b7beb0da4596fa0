import { createHash } from 'node:crypto';
import { CHECKSUM_ALGORITHMS, createChecksum } from './checksums.ts';
import type { ChecksumAlgorithm } from './checksums.ts';
import { s3Error } from './errors.ts';
import { header, textBody, xmlAnswer } from './exchange.ts';
import type { Answer, Exchange } from './exchange.ts';
import { checkWriteCondition, encryptionHeaders, keptHeaders, requireLength } from './objects.ts';
import { newUploadId, wholeSeconds } from './storage.ts';
import type { StoredChecksum, StoredObject, StoredPart, StoredUpload } from './storage.ts';
import { xmlAll, xmlDocument, xmlText } from './xml.ts';

const MAX_PARTS = 10_000;

export function createMultipartUpload(exchange: Exchange): Answer {
  const { key, headers } = exchange;
  const bucket = exchange.bucket();
  const name = header(headers, 'x-amz-checksum-algorithm')?.toLowerCase();
  const algorithm = CHECKSUM_ALGORITHMS.find((known) => known === name);
  const type =
    header(headers, 'x-amz-checksum-type') ?? (algorithm === 'crc64nvme' ? 'FULL_OBJECT' : 'COMPOSITE');
  const upload: StoredUpload = {
    id: newUploadId(),
    key,
    initiated: wholeSeconds(exchange.now),
    headers: keptHeaders(headers),
    checksum: algorithm && { algorithm, type: type === 'FULL_OBJECT' ? 'FULL_OBJECT' : 'COMPOSITE' },
    parts: new Map(),
  };
  bucket.uploads.set(upload.id, upload);
  const result = { Bucket: bucket.name, Key: key, UploadId: upload.id };
  return xmlAnswer(xmlDocument('InitiateMultipartUploadResult', result), encryptionHeaders(upload.headers));
}

export function partNumber({ query }: Exchange): number {
  const number = Number(query.get('partNumber'));
  if (Number.isInteger(number) && number >= 1 && number <= MAX_PARTS) return number;
  throw s3Error('InvalidArgument', {
    message: `Part number must be an integer between 1 and ${MAX_PARTS}`,
  });
}

export async function uploadPart(exchange: Exchange): Promise<Answer> {
  const number = partNumber(exchange);
  uploadFor(exchange);
  requireLength(exchange.headers);
  const { chunks, size, md5, checksum } = await exchange.body();
  // Looked up again: the upload may have been aborted while the body came in.
  const upload = uploadFor(exchange);
  upload.parts.set(number, { number, chunks, size, md5, checksum, modified: wholeSeconds(exchange.now) });
  const headers: Record<string, string> = {
    etag: `"${md5.toString('hex')}"`,
    ...encryptionHeaders(upload.headers),
  };
  if (checksum !== undefined) headers[`x-amz-checksum-${checksum.algorithm}`] = checksum.value;
  return { status: 200, headers };
}

export async function completeMultipartUpload(exchange: Exchange): Promise<Answer> {
  const { key } = exchange;
  const document = await textBody(exchange);
  const bucket = exchange.bucket();
  const upload = uploadFor(exchange);
  const parts = listedParts(upload, document);
  const last = parts.at(-1);
  for (const part of parts) {
    if (part !== last && part.size < exchange.minPartSize) {
      throw s3Error('EntityTooSmall', {
        elements: {
          ProposedSize: String(part.size),
          MinSizeAllowed: String(exchange.minPartSize),
          PartNumber: String(part.number),
          ETag: part.md5.toString('hex'),
        },
      });
    }
  }
  checkWriteCondition(exchange, bucket.objects.get(key));
  const object: StoredObject = {
    key,
    chunks: parts.flatMap((part) => part.chunks),
    size: parts.reduce((sum, part) => sum + part.size, 0),
    etag: `${md5OfMd5s(parts)}-${parts.length}`,
    modified: wholeSeconds(exchange.now),
    headers: upload.headers,
    checksum: wholeChecksum(upload, parts),
  };
  bucket.objects.set(key, object);
  bucket.uploads.delete(upload.id);
  return xmlAnswer(
    xmlDocument('CompleteMultipartUploadResult', {
      Location: `http://${exchange.headers.host ?? ''}/${bucket.name}/${key}`,
      Bucket: bucket.name,
      Key: key,
      ETag: `"${object.etag}"`,
      ...checksumElements(object.checksum),
    }),
    encryptionHeaders(upload.headers),
  );
}

export function abortMultipartUpload(exchange: Exchange): Answer {
  exchange.bucket().uploads.delete(uploadFor(exchange).id);
  return { status: 204 };
}

export function listMultipartUploads(exchange: Exchange): Answer {
  const bucket = exchange.bucket();
  const prefix = exchange.query.get('prefix') ?? '';
  const uploads = [...bucket.uploads.values()]
    .filter((upload) => upload.key.startsWith(prefix))
    .sort((a, b) => Buffer.compare(Buffer.from(a.key), Buffer.from(b.key)));
  return xmlAnswer(
    xmlDocument('ListMultipartUploadsResult', {
      Bucket: bucket.name,
      KeyMarker: '',
      UploadIdMarker: '',
      Prefix: prefix,
      MaxUploads: 1000,
      IsTruncated: false,
      Upload: uploads.map((upload) => ({
        Key: upload.key,
        UploadId: upload.id,
        StorageClass: 'STANDARD',
        Initiated: upload.initiated.toISOString(),
      })),
    }),
  );
}

export function listParts(exchange: Exchange): Answer {
  const upload = uploadFor(exchange);
  const after = Number(exchange.query.get('part-number-marker') ?? 0);
  const limit = Math.min(Number(exchange.query.get('max-parts') ?? 1000), 1000);
  const following = [...upload.parts.values()]
    .filter((part) => part.number > after)
    .sort((a, b) => a.number - b.number);
  const page = following.slice(0, limit);
  return xmlAnswer(
    xmlDocument('ListPartsResult', {
      Bucket: exchange.bucketName,
      Key: upload.key,
      UploadId: upload.id,
      PartNumberMarker: after,
      NextPartNumberMarker: page.at(-1)?.number ?? 0,
      MaxParts: limit,
      IsTruncated: following.length > page.length,
      Part: page.map((part) => ({
        PartNumber: part.number,
        LastModified: part.modified.toISOString(),
        ETag: `"${part.md5.toString('hex')}"`,
        Size: part.size,
        ...checksumElements(part.checksum),
      })),
    }),
  );
}

export function uploadFor(exchange: Exchange): StoredUpload {
  const id = exchange.query.get('uploadId') ?? '';
  const upload = exchange.bucket().uploads.get(id);
  if (upload === undefined || upload.key !== exchange.key)
    throw s3Error('NoSuchUpload', { elements: { UploadId: id } });
  return upload;
}

/** The parts the client wants, in its order, each compared with what was received. */
function listedParts(upload: StoredUpload, document: string): StoredPart[] {
  const listed = xmlAll(document, 'Part');
  if (listed.length === 0) throw s3Error('MalformedXML');
  let previous = 0;
  return listed.map((entry) => {
    const number = Number(xmlText(entry, 'PartNumber'));
    const etag = xmlText(entry, 'ETag')?.replace(/^"|"$/g, '');
    if (number <= previous) throw s3Error('InvalidPartOrder');
    previous = number;
    const part = upload.parts.get(number);
    const invalid = s3Error('InvalidPart', { elements: { PartNumber: String(number), ETag: etag ?? '' } });
    if (part === undefined || etag !== part.md5.toString('hex')) throw invalid;
    const sent = part.checksum && xmlText(entry, checksumElement(part.checksum.algorithm));
    if (sent !== undefined && sent !== part.checksum?.value) throw invalid;
    if (sent === undefined && upload.checksum?.type === 'COMPOSITE') {
      const name = upload.checksum.algorithm;
      throw s3Error('InvalidRequest', {
        message: `The upload was created using a ${name} checksum. The complete request must include the checksum for each part. It was missing for part ${number} in the request.`,
      });
    }
    return part;
  });
}

function md5OfMd5s(parts: readonly StoredPart[]): string {
  const hash = createHash('md5');
  for (const part of parts) hash.update(part.md5);
  return hash.digest('hex');
}

function wholeChecksum(upload: StoredUpload, parts: readonly StoredPart[]): StoredChecksum | undefined {
  if (upload.checksum === undefined) return undefined;
  const { algorithm, type } = upload.checksum;
  const running = createChecksum(algorithm);
  if (type === 'FULL_OBJECT') {
    for (const part of parts) for (const chunk of part.chunks) running.update(chunk);
    return { algorithm, type, value: running.digest().toString('base64') };
  }
  for (const part of parts) running.update(Buffer.from(part.checksum?.value ?? '', 'base64'));
  return { algorithm, type, value: `${running.digest().toString('base64')}-${parts.length}` };
}

function checksumElements(
  checksum: { algorithm: ChecksumAlgorithm; value: string; type?: string } | undefined,
): {
  [name: string]: string | undefined;
} {
  if (checksum === undefined) return {};
  return { [checksumElement(checksum.algorithm)]: checksum.value, ChecksumType: checksum.type };
}

/** `crc64nvme` → `ChecksumCRC64NVME` */
export function checksumElement(algorithm: ChecksumAlgorithm): string {
  return `Checksum${algorithm.toUpperCase()}`;
}
