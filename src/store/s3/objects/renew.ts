/**
 * Writes an object anew, as it is: the service copies it onto itself, so no byte of it comes here. A lifecycle
 * rule counts from then on. It is never needed, so nothing that goes wrong is told, and nothing is tried
 * twice.
 */
import {
  CopyObjectCommand,
  type CopyObjectCommandInput,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
} from '@aws-sdk/client-s3';
import { isSameObject } from '../../identity.ts';
import type { EntryInfo } from '../../store.ts';
import type { Connection } from '../connection/connection.ts';
import { copySource } from './copy-source.ts';
import { expiryDate, isDue } from './due.ts';
import { lookUp, plainEtag, WRITE_ID } from './objects.ts';

export interface RenewObjectOptions {
  signal: AbortSignal;
  /** What uploads are encrypted with. Undefined: whatever the bucket does by itself. */
  sse: string | undefined;
}

/** The most that one request copies. */
const MAX_BYTES = 5 * 1024 ** 3;

/** @returns whether it was renewed, and is what it was */
export async function renewObject(
  connection: Connection,
  entry: EntryInfo,
  { signal, sse }: RenewObjectOptions,
): Promise<boolean> {
  const link = connection.link(signal);
  try {
    return await renew(connection, entry, { signal: link.signal, sse });
  } catch {
    return false;
  } finally {
    link.unlink();
  }
}

async function renew(
  connection: Connection,
  entry: EntryInfo,
  { signal, sse }: RenewObjectOptions,
): Promise<boolean> {
  const { bucket, custom } = connection;
  const { key, size } = entry;
  if (size > MAX_BYTES) return false;
  const look = new HeadObjectCommand({ Bucket: bucket, Key: key });
  const head = await connection.attempt((client) => client.send(look, { abortSignal: signal }), signal);
  const etag = plainEtag(head.ETag ?? '');
  const source = copySource({ bucket, key, etag });
  const isTheSame =
    head.ContentLength === size && isSameObject({ etag, writeId: head.Metadata?.[WRITE_ID] }, entry);
  // Somebody may have been faster.
  const modified = head.LastModified;
  const isOld = isDue({ modified, expires: expiryDate(head.Expiration) }, connection.now());
  if (source === undefined || !isTheSame || !isOld) return false;
  if (isVersioned(head) || wouldLoseTags(connection, head)) return false;

  const copy = new CopyObjectCommand({
    Bucket: bucket,
    Key: key,
    ...source,
    // For who replaces it while it is copied. Amazon S3 knows this condition; others ignore it.
    ...(custom ? {} : { IfMatch: source.CopySourceIfMatch }),
    // S3 refuses to copy an object onto itself that stays as it is; to set all of it again is a change.
    MetadataDirective: 'REPLACE',
    ...whatStays(head, custom && sse === undefined),
  });
  await connection.attempt((client) => client.send(copy, { abortSignal: signal }), signal);
  // Some ignore the conditions. What is there now speaks for itself.
  const now = (await lookUp(connection, key, signal))?.info;
  return now !== undefined && now.size === size && isSameObject(now, { ...entry, etag: now.etag });
}

/** A copy would leave the old version behind, which costs as much as the new one, perhaps for ever. */
function isVersioned({ VersionId }: HeadObjectCommandOutput): boolean {
  return VersionId !== undefined && VersionId !== 'null';
}

/** Amazon S3 copies tags as well. Ceph RGW loses them where metadata is set anew, and takes no others. */
function wouldLoseTags({ custom }: Connection, { TagCount = 0 }: HeadObjectCommandOutput): boolean {
  return custom && TagCount > 0;
}

/** All that a copy sets anew, but for tags. */
function whatStays(
  head: HeadObjectCommandOutput,
  encryptsByItself: boolean,
): Omit<Partial<CopyObjectCommandInput>, 'Bucket' | 'Key' | 'CopySource'> {
  const { ServerSideEncryption: encryption } = head;
  return {
    Metadata: head.Metadata,
    ContentType: head.ContentType,
    CacheControl: head.CacheControl,
    ContentDisposition: head.ContentDisposition,
    ContentEncoding: head.ContentEncoding,
    ContentLanguage: head.ContentLanguage,
    WebsiteRedirectLocation: head.WebsiteRedirectLocation,
    StorageClass: head.StorageClass,
    // Services that encrypt everything may refuse to be asked for it.
    ...(encryption === 'AES256' && encryptsByItself ? {} : { ServerSideEncryption: encryption }),
    SSEKMSKeyId: head.SSEKMSKeyId,
    BucketKeyEnabled: head.BucketKeyEnabled,
  };
}
