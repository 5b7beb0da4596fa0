import { s3Error } from './errors.ts';
import type { S3ErrorCode } from './errors.ts';
import { textBody, xmlAnswer } from './exchange.ts';
import type { Answer, Exchange } from './exchange.ts';
import { createBucket, sortedKeys } from './storage.ts';
import { xmlDocument, xmlText } from './xml.ts';

/** Subresources that are documents put and fetched whole, and what S3 answers while there is none. */
export const BUCKET_SETTINGS: Readonly<
  Record<string, { name: string; missing?: S3ErrorCode; initial?: string }>
> = {
  accelerate: { name: 'BucketAccelerateConfiguration', initial: xmlDocument('AccelerateConfiguration', '') },
  encryption: {
    name: 'BucketEncryption',
    // What every new bucket has had since 2023.
    initial: xmlDocument('ServerSideEncryptionConfiguration', {
      Rule: { ApplyServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' }, BucketKeyEnabled: false },
    }),
  },
  lifecycle: { name: 'BucketLifecycleConfiguration', missing: 'NoSuchLifecycleConfiguration' },
  ownershipControls: { name: 'BucketOwnershipControls', missing: 'OwnershipControlsNotFoundError' },
  policy: { name: 'BucketPolicy', missing: 'NoSuchBucketPolicy' },
  publicAccessBlock: { name: 'PublicAccessBlock', missing: 'NoSuchPublicAccessBlockConfiguration' },
  tagging: { name: 'BucketTagging', missing: 'NoSuchTagSet' },
  versioning: { name: 'BucketVersioning', initial: xmlDocument('VersioningConfiguration', '') },
};

export async function createBucketOperation(exchange: Exchange): Promise<Answer> {
  const { storage, bucketName } = exchange;
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucketName)) throw s3Error('InvalidBucketName');
  const region = xmlText(await textBody(exchange), 'LocationConstraint') ?? exchange.region;
  if (storage.has(bucketName))
    throw s3Error('BucketAlreadyOwnedByYou', { elements: { BucketName: bucketName } });
  createBucket(storage, bucketName, region);
  return { status: 200, headers: { location: `/${bucketName}` } };
}

export function deleteBucket(exchange: Exchange): Answer {
  const bucket = exchange.bucket();
  if (bucket.objects.size > 0) throw s3Error('BucketNotEmpty');
  exchange.storage.delete(bucket.name);
  return { status: 204 };
}

export function headBucket(exchange: Exchange): Answer {
  return { status: 200, headers: { 'x-amz-bucket-region': exchange.bucket().region } };
}

export function getBucketLocation(exchange: Exchange): Answer {
  const { region } = exchange.bucket();
  return xmlAnswer(xmlDocument('LocationConstraint', region === 'us-east-1' ? '' : region));
}

export function listBuckets(exchange: Exchange): Answer {
  const buckets = sortedKeys(exchange.storage.keys()).map((Name) => ({
    Name,
    CreationDate: exchange.storage.get(Name)?.created.toISOString(),
  }));
  return xmlAnswer(xmlDocument('ListAllMyBucketsResult', { Buckets: { Bucket: buckets } }));
}

export function getSetting(exchange: Exchange, setting: string): Answer {
  const { missing, initial } = BUCKET_SETTINGS[setting] ?? {};
  const document = exchange.bucket().settings.get(setting) ?? initial;
  if (document === undefined) throw s3Error(missing ?? 'InvalidArgument');
  const type = document.trimStart().startsWith('{') ? 'application/json' : 'application/xml';
  return xmlAnswer(document, { 'content-type': type });
}

export async function putSetting(exchange: Exchange, setting: string): Promise<Answer> {
  const document = await textBody(exchange);
  exchange.bucket().settings.set(setting, document);
  return { status: setting === 'policy' ? 204 : 200 };
}

export function deleteSetting(exchange: Exchange, setting: string): Answer {
  exchange.bucket().settings.delete(setting);
  return { status: 204 };
}

/** ListObjectsV2: prefix, delimiter, start-after, continuation-token, max-keys, encoding-type. */
export function listObjectsV2(exchange: Exchange): Answer {
  const { query } = exchange;
  const bucket = exchange.bucket();
  const prefix = query.get('prefix') ?? '';
  const delimiter = query.get('delimiter') ?? '';
  const token = query.get('continuation-token');
  const limit = Math.min(Number(query.get('max-keys') ?? 1000), 1000);
  if (!Number.isInteger(limit) || limit < 0) throw s3Error('InvalidArgument');
  const after = token === null ? (query.get('start-after') ?? '') : decodeToken(token);
  const encode = query.get('encoding-type') === 'url' ? encodeKey : (text: string): string => text;

  const contents: string[] = [];
  const prefixes: string[] = [];
  let last = '';
  let truncated = false;
  for (const key of sortedKeys(bucket.objects.keys())) {
    if (!key.startsWith(prefix) || Buffer.compare(Buffer.from(key), Buffer.from(after)) <= 0) continue;
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length);
    const folder = cut < 0 ? undefined : key.slice(0, cut + delimiter.length);
    if (folder !== undefined && folder === prefixes.at(-1)) {
      last = key;
      continue;
    }
    if (contents.length + prefixes.length === limit) {
      truncated = limit > 0;
      break;
    }
    if (folder === undefined) contents.push(key);
    else prefixes.push(folder);
    last = key;
  }

  return xmlAnswer(
    xmlDocument('ListBucketResult', {
      Name: bucket.name,
      Prefix: encode(prefix),
      Delimiter: delimiter === '' ? undefined : encode(delimiter),
      MaxKeys: limit,
      EncodingType: query.get('encoding-type') ?? undefined,
      KeyCount: contents.length + prefixes.length,
      IsTruncated: truncated,
      ContinuationToken: token ?? undefined,
      NextContinuationToken: truncated ? Buffer.from(last).toString('base64url') : undefined,
      StartAfter: query.get('start-after') ?? undefined,
      Contents: contents.map((key) => {
        const object = bucket.objects.get(key);
        return {
          Key: encode(key),
          LastModified: object?.modified.toISOString(),
          ETag: `"${object?.etag ?? ''}"`,
          Size: object?.size,
          StorageClass: 'STANDARD',
        };
      }),
      CommonPrefixes: prefixes.map((folder) => ({ Prefix: encode(folder) })),
    }),
  );
}

function decodeToken(token: string): string {
  const key = Buffer.from(token, 'base64url').toString('utf8');
  if (key === '')
    throw s3Error('InvalidArgument', { message: 'The continuation token provided is incorrect' });
  return key;
}

/** S3's url encoding of keys: slashes stay, spaces become `+`. */
function encodeKey(key: string): string {
  return encodeURIComponent(key).replace(/%2F/g, '/').replace(/%20/g, '+');
}
