/** How settings of a bucket are asked for and put, and what the answers mean. */
import type { S3Client } from '@aws-sdk/client-s3';
import type { Connection } from '../connection/connection.ts';
import { inspect } from '../errors/inspect.ts';
import type { Applied } from './wanted.ts';

export type Request<T> = (client: S3Client) => Promise<T>;

/** What a bucket says of one setting. */
export type Looked<T> = { found: T } | 'missing' | 'denied' | 'unsupported';

/** @throws CacheError when the service cannot be reached or used at all */
export async function look<T>(
  connection: Connection,
  { action, request, signal }: { action: string; request: Request<T>; signal: AbortSignal },
): Promise<Looked<T>> {
  try {
    return { found: await connection.send(request, signal) };
  } catch (error) {
    signal.throwIfAborted();
    const { name, status, hasCode } = inspect(error);
    if (name === 'NoSuchBucket') return 'missing';
    if (isDenial(error)) return 'denied';
    if (hasCode && isUnsupported(connection, error)) return 'unsupported';
    if (hasCode && status === 404) return 'missing';
    throw connection.explain(error, { action, key: '' });
  }
}

/** Puts one setting. Only a service that cannot be reached is an error: the other steps may do better. */
export async function put(
  connection: Connection,
  { action, request, signal }: { action: string; request: Request<unknown>; signal: AbortSignal },
): Promise<Applied> {
  try {
    await connection.send(request, signal);
    return { result: 'done' };
  } catch (error) {
    signal.throwIfAborted();
    const { status } = inspect(error);
    const explained = connection.explain(error, { action, key: '' });
    if (isDenial(error)) return { result: 'denied', note: `allow ${action}` };
    if (isUnsupported(connection, error)) return { result: 'unsupported' };
    if (status === undefined) throw explained;
    return { result: 'failed', note: explained.message };
  }
}

/** Not a key or a signature that is wrong: no step could do better then. */
export function isDenial(error: unknown): boolean {
  const { name, status, hasCode } = inspect(error);
  return status === 403 && (name === 'AccessDenied' || !hasCode);
}

function isUnsupported({ custom }: Connection, error: unknown): boolean {
  const { status, name } = inspect(error);
  if (status === 501 || status === 405) return true;
  // Ceph RGW and others take a setting that they do not know for something else, and find fault with it.
  return custom && status === 400 && UNKNOWN_THERE.has(name);
}

const UNKNOWN_THERE = new Set(['InvalidArgument', 'InvalidRequest', 'MalformedXML', 'NotImplemented']);
