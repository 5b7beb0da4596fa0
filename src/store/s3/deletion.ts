/**
 * Deletes one object, and says what became of it: an answer of success is not taken for more than it says.
 */
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import type { RemoveOutcome, StoreOptions } from '../store.ts';
import type { Connection } from './connection/connection.ts';
import { isSameObject, refusesCondition } from './objects/conditions.ts';
import { isMissing, lookUp } from './objects/objects.ts';

/** @throws what the SDK threw, or the signal's reason */
export async function removeObject(
  connection: Connection,
  key: string,
  { signal, etag }: StoreOptions & { etag?: string },
): Promise<RemoveOutcome> {
  const look = async (): Promise<'there' | 'absent' | 'another'> => {
    const present = await lookUp(connection, key, signal);
    if (present === undefined) return 'absent';
    return etag === undefined || isSameObject(present, etag) ? 'there' : 'another';
  };
  const send = (condition: { IfMatch?: string }): Promise<unknown> => {
    const command = new DeleteObjectCommand({ Bucket: connection.bucket, Key: key, ...condition });
    return connection.send((client) => client.send(command, { abortSignal: signal }), signal);
  };

  // Servers that do not know the condition delete whatever is there.
  const before = await look();
  if (before !== 'there') return before;
  try {
    await send(etag === undefined ? {} : { IfMatch: `"${etag}"` });
    return 'removed';
  } catch (error) {
    if (isMissing(error)) return 'removed';
    if (etag === undefined || !refusesCondition(error)) throw error;
  }
  const now = await look();
  if (now === 'there') await send({});
  return now === 'another' ? 'another' : 'removed';
}
