import {
  BUCKET_SETTINGS,
  createBucketOperation,
  deleteBucket,
  deleteSetting,
  getBucketLocation,
  getSetting,
  headBucket,
  listBuckets,
  listObjectsV2,
  putSetting,
} from './buckets.ts';
import { copyObject, uploadPartCopy } from './copy.ts';
import { s3Error } from './errors.ts';
import type { Answer, Exchange } from './exchange.ts';
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listMultipartUploads,
  listParts,
  uploadPart,
} from './multipart.ts';
import { deleteObject, deleteObjects, getObject, headObject, putObject } from './objects.ts';

export interface Operation {
  /** As S3's API calls it. */
  name: string;
  run: (exchange: Exchange) => Answer | Promise<Answer>;
}

export interface Target {
  method: string;
  bucket: string;
  key: string;
  query: URLSearchParams;
  /** Whether it names an object to copy. */
  isCopy: boolean;
}

const VERBS: Readonly<Record<string, 'Get' | 'Put' | 'Delete' | undefined>> = {
  GET: 'Get',
  PUT: 'Put',
  DELETE: 'Delete',
};
/** Subresources this server does not know: better a 501 than an object or a listing in their place. */
const UNKNOWN_SUBRESOURCES = [
  'acl',
  'attributes',
  'cors',
  'legal-hold',
  'object-lock',
  'retention',
  'torrent',
  'versions',
];

export function findOperation(target: Target): Operation {
  const { bucket, key, query } = target;
  if (UNKNOWN_SUBRESOURCES.some((name) => query.has(name))) return unknown;
  if (bucket === '') return target.method === 'GET' ? { name: 'ListBuckets', run: listBuckets } : unknown;
  return key === '' ? bucketOperation(target) : objectOperation(target);
}

const unknown: Operation = {
  name: 'Unknown',
  run: () => {
    throw s3Error('NotImplemented');
  },
};

function bucketOperation({ method, query }: Target): Operation {
  const setting = Object.keys(BUCKET_SETTINGS).find((name) => query.has(name));
  if (setting !== undefined) return settingOperation(method, setting);
  if (query.has('location') && method === 'GET') return { name: 'GetBucketLocation', run: getBucketLocation };
  if (query.has('uploads') && method === 'GET')
    return { name: 'ListMultipartUploads', run: listMultipartUploads };
  if (query.has('delete') && method === 'POST') return { name: 'DeleteObjects', run: deleteObjects };
  switch (method) {
    case 'GET':
      return query.get('list-type') === '2' ? { name: 'ListObjectsV2', run: listObjectsV2 } : unknown;
    case 'HEAD':
      return { name: 'HeadBucket', run: headBucket };
    case 'PUT':
      return { name: 'CreateBucket', run: createBucketOperation };
    case 'DELETE':
      return { name: 'DeleteBucket', run: deleteBucket };
    default:
      return unknown;
  }
}

function settingOperation(method: string, setting: string): Operation {
  const verb = VERBS[method];
  if (verb === undefined) return unknown;
  const name = `${verb}${BUCKET_SETTINGS[setting]?.name ?? ''}`;
  const handlers = { Get: getSetting, Put: putSetting, Delete: deleteSetting };
  return { name, run: (exchange) => handlers[verb](exchange, setting) };
}

function objectOperation({ method, query, isCopy }: Target): Operation {
  if (query.has('tagging')) return unknown;
  if (query.has('uploadId')) {
    if (method === 'PUT')
      return isCopy
        ? { name: 'UploadPartCopy', run: uploadPartCopy }
        : { name: 'UploadPart', run: uploadPart };
    if (method === 'POST') return { name: 'CompleteMultipartUpload', run: completeMultipartUpload };
    if (method === 'DELETE') return { name: 'AbortMultipartUpload', run: abortMultipartUpload };
    return method === 'GET' ? { name: 'ListParts', run: listParts } : unknown;
  }
  if (query.has('uploads')) {
    return method === 'POST' ? { name: 'CreateMultipartUpload', run: createMultipartUpload } : unknown;
  }
  switch (method) {
    case 'GET':
      return { name: 'GetObject', run: getObject };
    case 'HEAD':
      return { name: 'HeadObject', run: headObject };
    case 'PUT':
      return isCopy ? { name: 'CopyObject', run: copyObject } : { name: 'PutObject', run: putObject };
    case 'DELETE':
      return { name: 'DeleteObject', run: deleteObject };
    default:
      return unknown;
  }
}
