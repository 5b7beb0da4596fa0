/** What an S3 server honours, found out by asking it: a table of what servers are said to do goes stale. */
import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { createClient } from './s3-client.ts';
import type { S3Access } from './s3-client.ts';

export interface ServerTraits {
  /** PutObject with `If-None-Match: *` on a key that is taken is refused. */
  conditionalPut: boolean;
  /** The same of CompleteMultipartUpload. */
  conditionalComplete: boolean;
  /** DeleteObject with another object's `If-Match` is refused. */
  conditionalDelete: boolean;
  /** A request signed with a wrong secret is refused. */
  verifiesSignature: boolean;
}

/** Uses two keys under `prefix` and removes them. */
export async function probeTraits(
  access: S3Access,
  place: { bucket: string; prefix: string },
): Promise<ServerTraits> {
  const client = createClient(access);
  const Bucket = place.bucket;
  const Key = `${place.prefix}probe`;
  try {
    await client.send(new PutObjectCommand({ Bucket, Key, Body: 'first' }));
    const conditionalPut = await refusedByCondition(
      client.send(new PutObjectCommand({ Bucket, Key, Body: 'second', IfNoneMatch: '*' })),
    );
    const conditionalComplete = await refusedByCondition(completeOver(client, Bucket, Key));
    const deletion = new DeleteObjectCommand({ Bucket, Key, IfMatch: '"00000000000000000000000000000000"' });
    await client.send(deletion).catch(() => undefined);
    const conditionalDelete = await accepted(client.send(new HeadObjectCommand({ Bucket, Key })));
    await client.send(new DeleteObjectCommand({ Bucket, Key }));
    return {
      conditionalPut,
      conditionalComplete,
      conditionalDelete,
      verifiesSignature: await verifies(access, Bucket),
    };
  } finally {
    client.destroy();
  }
}

async function completeOver(client: S3Client, Bucket: string, Key: string): Promise<unknown> {
  const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }));
  const part = { Bucket, Key, UploadId, PartNumber: 1 };
  const { ETag, ChecksumCRC32 } = await client.send(new UploadPartCommand({ ...part, Body: 'third' }));
  return client.send(
    new CompleteMultipartUploadCommand({
      Bucket,
      Key,
      UploadId,
      IfNoneMatch: '*',
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag, ChecksumCRC32 }] },
    }),
  );
}

async function verifies(access: S3Access, Bucket: string): Promise<boolean> {
  const { accessKeyId, sessionToken } = access.credentials;
  const credentials = {
    accessKeyId,
    secretAccessKey: 'certainly-not-the-secret',
    ...(sessionToken && { sessionToken }),
  };
  const stranger = createClient({ ...access, credentials });
  try {
    return !(await accepted(stranger.send(new ListObjectsV2Command({ Bucket, MaxKeys: 1 }))));
  } finally {
    stranger.destroy();
  }
}

/** A 501 says nothing about the object. */
function refusedByCondition(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => false,
    (error: Error) => ['PreconditionFailed', 'InvalidRequest'].includes(error.name),
  );
}

function accepted(call: Promise<unknown>): Promise<boolean> {
  return call.then(
    () => true,
    () => false,
  );
}
