/**
 * Deletes one object, and says what became of it: an answer of success is not taken for more than it says.
 */
import { DeleteObjectCommand } from '@aws-sdk/client-s3';
import { isSameObject } from '../identity.ts';
import type { EntryInfo, RemoveOptions, RemoveOutcome } from '../store.ts';
import type { Connection } from './connection/connection.ts';
import { refusesCondition } from './objects/conditions.ts';
import { isMissing, lookUp } from './objects/objects.ts';

/** An object that is copied onto itself has another ETag each time. Nobody does that more often. */
const MAX_ETAGS = 4;

/** @throws what the SDK threw, or the signal's reason */
export async function removeObject(
  connection: Connection,
  key: string,
  { signal, etag, writeId }: RemoveOptions,
): Promise<RemoveOutcome> {
  const look = async (): Promise<EntryInfo | 'absent' | 'another'> => {
    const present = (await lookUp(connection, key, signal))?.info;
    if (present === undefined) return 'absent';
    return etag === undefined || isSameObject(present, { etag, writeId }) ? present : 'another';
  };
  const send = (condition: { IfMatch?: string }): Promise<unknown> => {
    const command = new DeleteObjectCommand({ Bucket: connection.bucket, Key: key, ...condition });
    return connection.send((client) => client.send(command, { abortSignal: signal }), signal);
  };

  // Servers that do not know the condition delete whatever is there.
  let there = await look();
  if (there === 'absent') return 'absent';
  for (let n = 0; typeof there === 'object'; n += 1) {
    const asked: string = there.etag;
    const isConditional = etag !== undefined && n < MAX_ETAGS;
    try {
      await send(isConditional ? { IfMatch: `"${asked}"` } : {});
      return 'removed';
    } catch (error) {
      if (isMissing(error)) return 'removed';
      if (!isConditional || !refusesCondition(error)) throw error;
    }
    there = await look();
    // The very ETag that it gives was refused: it cannot use this condition.
    if (typeof there === 'object' && there.etag === asked) {
      await send({});
      return 'removed';
    }
  }
  return there === 'another' ? 'another' : 'removed';
}
