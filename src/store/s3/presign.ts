/** Signs reads of exact keys in advance, for a ticket. */
import { GetObjectCommand } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import type { EntryInfo } from '../store.ts';
import { connect } from './connection/connection.ts';
import type { ConnectionOptions } from './connection/settings.ts';
import { lookUp } from './objects/objects.ts';

export interface Presigning {
  keys: readonly string[];
  /** How long the URLs are to work, milliseconds, a week at most. Credentials that end sooner end them too. */
  lifeMs: number;
  signal: AbortSignal;
}

export interface PresignedKeys {
  /** What all URLs begin with. */
  origin: string;
  /** Milliseconds since 1970, by the service's clock. */
  expiresMs: number;
  /** Whether the credentials are temporary and do not say when they end. */
  mayEndSooner: boolean;
  entries: { key: string; url: string; found: EntryInfo | undefined }[];
}

/** @throws CacheError */
export async function presign(
  options: ConnectionOptions,
  { keys, lifeMs, signal }: Presigning,
): Promise<PresignedKeys> {
  const connection = await connect(options);
  try {
    // Looked up first: it finds the bucket's region, and that the credentials work at all.
    const found: (EntryInfo | undefined)[] = [];
    for (const key of keys) {
      try {
        found.push((await lookUp(connection, key, signal))?.info);
      } catch (error) {
        signal.throwIfAborted();
        throw connection.explain(error, { action: 's3:GetObject', key });
      }
    }
    const { client, bucket } = connection;
    const { expiration, sessionToken } = await client.config.credentials();
    const now = connection.now();
    const untilMs = Math.min(now + lifeMs, expiration?.getTime() ?? Infinity);
    const seconds = Math.max(1, Math.floor((untilMs - now) / 1000));
    const urls: URL[] = [];
    for (const key of keys) {
      const command = new GetObjectCommand({ Bucket: bucket, Key: key });
      const signingDate = new Date(now);
      urls.push(new URL(await getSignedUrl(client, command, { expiresIn: seconds, signingDate })));
    }
    return {
      origin: urls[0]!.origin,
      expiresMs: now + seconds * 1000,
      mayEndSooner: sessionToken !== undefined && expiration === undefined,
      entries: keys.map((key, index) => ({
        key,
        url: urls[index]!.pathname + urls[index]!.search,
        found: found[index],
      })),
    };
  } finally {
    connection.close();
  }
}
