/**
 * Sets a bucket up: looks at each setting, and changes those that are not as they are to be. What the service
 * lacks or these credentials may not do does not keep the other steps from their turn.
 */
import { CreateBucketCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import { CacheError } from '../../../errors.ts';
import { shellWord } from '../../../text/shell-word.ts';
import { connect, type Connection } from '../connection/connection.ts';
import type { ConnectionOptions } from '../connection/settings.ts';
import { inspect } from '../errors/inspect.ts';
import { publicAccessStep } from './public-access.ts';
import { isDenial, look } from './requests.ts';
import { accelerationStep, encryptionStep, lifecycleStep, loggingStep } from './steps.ts';
import type { Applied, Step, Wanted } from './wanted.ts';

export interface Setup {
  /** @throws CacheError where the bucket is somebody else's, or the service cannot be used */
  plan(signal: AbortSignal): Promise<Step[]>;
  /** A command of the AWS CLI for this bucket, at this endpoint. */
  commandLine(words: readonly string[]): string;
  close(): void;
}

/** @throws CacheError CONFIG_INVALID */
export async function openSetup(wanted: Wanted, options: ConnectionOptions): Promise<Setup> {
  // The accelerated endpoint has objects alone.
  const connection = await connect({ ...options, accelerate: false });
  const { region } = connection.context({ action: '', key: '' });
  const place = [
    ...(options.endpoint === undefined ? [] : ['--endpoint-url', options.endpoint]),
    '--region',
    region,
  ];
  return {
    plan: (signal) => plan(connection, wanted, signal),
    commandLine: ([name = '', ...rest]) =>
      ['aws', 's3api', name, '--bucket', wanted.bucket, ...rest, ...place].map(shellWord).join(' '),
    close: () => connection.close(),
  };
}

async function plan(connection: Connection, wanted: Wanted, signal: AbortSignal): Promise<Step[]> {
  const bucket = await bucketStep(connection, wanted, signal);
  const steps: Step[] = [bucket];
  for (const make of [publicAccessStep, encryptionStep, lifecycleStep, accelerationStep, loggingStep]) {
    const step = await make(connection, wanted, signal);
    if (step !== undefined) steps.push(step);
  }
  return steps;
}

async function bucketStep(connection: Connection, { bucket }: Wanted, signal: AbortSignal): Promise<Step> {
  const { region } = connection.context({ action: '', key: '' });
  const looked = await look(connection, {
    action: 's3:ListBucket',
    // The answer to a HEAD has no body: a web server's 404 would look like a bucket that is missing.
    request: (client) => client.send(new ListObjectsV2Command({ Bucket: bucket, MaxKeys: 1 })),
    signal,
  });
  if (looked === 'denied') throw foreign(bucket, 'answers 403 to these credentials');
  const isThere = typeof looked === 'object';
  const place = connection.custom || region === 'us-east-1' ? undefined : region;
  const title = `bucket ${bucket}`;
  const constraint =
    place === undefined ? [] : ['--create-bucket-configuration', `LocationConstraint=${place}`];
  return {
    title: isThere || place === undefined ? title : `${title} in ${place}`,
    state: isThere ? 'done' : 'todo',
    commands: isThere ? [] : [['create-bucket', ...constraint]],
    apply: (at) => create(connection, { bucket, place, signal: at }),
  };
}

/** @throws CacheError: without a bucket no other step has a meaning */
async function create(
  connection: Connection,
  { bucket, place, signal }: { bucket: string; place: string | undefined; signal: AbortSignal },
): Promise<Applied> {
  const command = new CreateBucketCommand({
    Bucket: bucket,
    ...(place === undefined
      ? {}
      : { CreateBucketConfiguration: { LocationConstraint: place as 'eu-west-1' } }),
  });
  try {
    await connection.send((client) => client.send(command), signal);
    return { result: 'done' };
  } catch (error) {
    signal.throwIfAborted();
    const { name } = inspect(error);
    // Another run was faster, or the answer of our own was lost.
    if (name === 'BucketAlreadyOwnedByYou') return { result: 'done' };
    if (name === 'BucketAlreadyExists') throw foreign(bucket, 'has been made by somebody else');
    if (isDenial(error))
      throw new CacheError('STORE_ACCESS_DENIED', `Bucket ${bucket} may not be made by these credentials`, {
        hint: `Allow s3:CreateBucket on arn:aws:s3:::${bucket}, or have it made by somebody who may.`,
      });
    throw connection.explain(error, { action: 's3:CreateBucket', key: '' });
  }
}

function foreign(bucket: string, why: string): CacheError {
  return new CacheError('STORE_ACCESS_DENIED', `Bucket ${bucket} exists, and ${why}`, {
    hint: `Names of buckets are shared by all accounts: choose another one if it is not yours, else allow s3:ListBucket on arn:aws:s3:::${bucket}.`,
  });
}
