/** Asks a service one thing, and turns what it throws into an answer. */
import { GetObjectCommand, type S3Client } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import type { Connection } from '../connection/connection.ts';
import { inspect } from '../errors/inspect.ts';
import { type Answer, known } from './facts.ts';

export interface Asking {
  connection: Connection;
  signal: AbortSignal;
  /** Key or prefix under which the probe works, for errors. */
  key: string;
}

/**
 * @param action the IAM action that must be allowed for it, e.g. `s3:GetObject`
 * @returns what `request` gives, or why it could not be had
 * @throws only the signal's reason
 */
export async function ask<T>(
  { connection, signal, key }: Asking,
  action: string,
  request: () => Promise<T>,
): Promise<Answer<T>> {
  try {
    return known(await request());
  } catch (error) {
    signal.throwIfAborted();
    return { type: isDenied(error) ? 'denied' : 'failed', error: connection.explain(error, { action, key }) };
  }
}

/** One request under the connection's retries. */
export function send<T>(
  { connection, signal }: Asking,
  request: (client: S3Client, options: { abortSignal: AbortSignal }) => Promise<T>,
): Promise<T> {
  return connection.send((client) => request(client, { abortSignal: signal }), signal);
}

/** The bytes of a small object. @throws what the SDK threw */
export async function readWhole(asking: Asking, key: string): Promise<Buffer> {
  const command = new GetObjectCommand({ Bucket: asking.connection.bucket, Key: key });
  const answer = await send(asking, (client, options) => client.send(command, options));
  const chunks: Buffer[] = [];
  for await (const chunk of answer.Body as unknown as Readable) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks);
}

/** Whether the credentials are good and do not allow it. */
export function isDenied(error: unknown): boolean {
  const { name, status } = inspect(error);
  if (NOT_ABOUT_RIGHTS.has(name)) return false;
  return name === 'AccessDenied' || status === 403;
}

const NOT_ABOUT_RIGHTS = new Set([
  'InvalidAccessKeyId',
  'SignatureDoesNotMatch',
  'ExpiredToken',
  'InvalidToken',
  'RequestTimeTooSkewed',
  'RequestExpired',
  'AccountProblem',
  'NotSignedUp',
]);
