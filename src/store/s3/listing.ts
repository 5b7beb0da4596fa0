/**
 * The objects under a prefix, page by page. `prune` deletes by what is listed, so nothing is made up: a
 * listing that cannot be right, or has no end, is an error before its first consequence.
 */
import { ListObjectsV2Command, type _Object as ListedObject } from '@aws-sdk/client-s3';
import { CacheError } from '../../errors.ts';
import type { EntryInfo, StoreOptions } from '../store.ts';
import type { Connection } from './connection/connection.ts';
import { TransferError } from './errors/classify.ts';
import { plainEtag } from './objects/objects.ts';

/** More than a prefix of entries ever holds. Each takes about 1 kB of memory. */
const MAX_KEYS = 500_000;
/** Pages may hold less than 1,000 keys, or none. */
const MAX_PAGES = 20_000;

/** @throws what the SDK threw, TransferError, CacheError, or the signal's reason */
export async function* listObjects(
  connection: Connection,
  prefix: string,
  { signal, maxKeys = MAX_KEYS }: StoreOptions & { maxKeys?: number },
): AsyncGenerator<EntryInfo, undefined> {
  const keys = new Set<string>();
  const tokens = new Set<string>();
  let token: string | undefined;
  do {
    const command = new ListObjectsV2Command({
      Bucket: connection.bucket,
      Prefix: prefix,
      ...(token === undefined ? {} : { ContinuationToken: token }),
    });
    const page = await connection.send((client) => client.send(command, { abortSignal: signal }), signal);
    for (const object of page.Contents ?? []) {
      const { Key: key } = object;
      // Some servers show folders as empty objects, and some list a key twice where two pages meet.
      if (key === undefined || key === '' || key.endsWith('/') || keys.has(key)) continue;
      keys.add(key);
      yield describe(key, object);
    }
    token = page.IsTruncated === true ? page.NextContinuationToken : undefined;
    if (page.IsTruncated === true && (token === undefined || token === ''))
      throw new TransferError('nonsense', 'the listing is not complete, and does not say how to go on');
    if (token !== undefined && tokens.has(token))
      throw new TransferError('nonsense', 'the listing goes round in circles');
    if (token !== undefined) tokens.add(token);
    if (keys.size > maxKeys || tokens.size > MAX_PAGES) throw endless(connection, prefix);
  } while (token !== undefined);
}

function describe(
  key: string,
  { Size: size, LastModified: modified, ETag: etag = '' }: ListedObject,
): EntryInfo {
  if (size === undefined || !Number.isSafeInteger(size) || size < 0)
    throw new TransferError('nonsense', `the listing has no possible size for ${key}`);
  return { key, size, modified, etag: plainEtag(etag) };
}

function endless({ bucket }: Connection, prefix: string): CacheError {
  return new CacheError('STORE_FAILED', `The listing of s3://${bucket}/${prefix} does not end`, {
    hint: 'Give the cache a prefix of its own (CACHE_S3_PREFIX), and let a lifecycle rule delete old entries (docs/setup.md).',
  });
}
