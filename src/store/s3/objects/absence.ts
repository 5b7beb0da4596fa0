/**
 * Whether an object that may not be read is there at all. S3 says "access denied" of a missing object to
 * whoever may not list the bucket, and to whoever may list it under a condition on `s3:prefix`.
 */
import { ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { Connection } from '../connection/connection.ts';
import { inspect } from '../errors/inspect.ts';

/** Reading and listing are both denied: nobody can tell whether the object is there. */
export class HiddenError extends Error {
  override readonly name = 'AccessDenied';
  readonly Code = 'AccessDenied';
  readonly $metadata = { httpStatusCode: 403 };
}

/**
 * Asks the listing about an object that a read has been denied of.
 * @param error what the read threw
 * @returns whether the object is not there; false for any other error than a denial
 * @throws HiddenError, or the signal's reason
 */
export async function isAbsent(
  connection: Connection,
  { key, error }: { key: string; error: unknown },
  signal: AbortSignal,
): Promise<boolean> {
  if (!isDenied(error)) return false;
  const command = new ListObjectsV2Command({ Bucket: connection.bucket, Prefix: key, MaxKeys: 1 });
  try {
    const { Contents = [] } = await connection.send(
      (client) => client.send(command, { abortSignal: signal }),
      signal,
    );
    // The first in byte order: nothing with this prefix comes before the key itself.
    return Contents[0]?.Key !== key;
  } catch (failure) {
    signal.throwIfAborted();
    if (isDenied(failure)) throw new HiddenError(inspect(error).message, { cause: error });
    return false;
  }
}

/** A denial of S3's own; that of a KMS key says that the object is there. */
function isDenied(error: unknown): boolean {
  const { name, status, hasCode, message } = inspect(error);
  return name === 'AccessDenied' && status === 403 && hasCode && !/kms:/i.test(message);
}
