/**
 * The public access block. Ceph RGW takes every upload for a public one while `BlockPublicAcls` is on, and
 * refuses it. So a write is tried, and that part is taken back where the write is refused; the other three
 * parts do no harm there.
 */
import {
  DeleteObjectCommand,
  GetPublicAccessBlockCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  type PublicAccessBlockConfiguration,
} from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import type { Connection } from '../connection/connection.ts';
import { noListing } from './no-listing.ts';
import { look, put } from './requests.ts';
import type { MakeStep } from './steps.ts';
import type { Applied } from './wanted.ts';

const PARTS = ['BlockPublicAcls', 'IgnorePublicAcls', 'BlockPublicPolicy', 'RestrictPublicBuckets'] as const;
const WHOLE = blockOf(true);
/** What works everywhere. */
const SPARING = blockOf(false);

export const publicAccessStep: MakeStep = async (connection, { bucket, prefix, blockPublic }, signal) => {
  if (!blockPublic) return undefined;
  const title = 'public access block';
  const place = { connection, bucket };
  const set = (block: PublicAccessBlockConfiguration, at: AbortSignal): Promise<Applied> =>
    put(connection, {
      action: 's3:PutBucketPublicAccessBlock',
      request: (client) =>
        client.send(
          new PutPublicAccessBlockCommand({ Bucket: bucket, PublicAccessBlockConfiguration: block }),
        ),
      signal: at,
    });
  const apply = async (at: AbortSignal): Promise<Applied> => {
    const key = `${prefix}/.setup-${randomUUID()}`;
    if (!connection.custom) return set(WHOLE, at);
    // Whoever may not write anyway cannot find out.
    const mayWrite = (await set(SPARING, at)).result === 'done' && (await mayPut(place, key, at));
    const done = await set(WHOLE, at);
    if (done.result !== 'done' || !mayWrite || (await mayPut(place, key, at))) return done;
    const note = 'without BlockPublicAcls, with which this service refuses every write';
    return { ...(await set(SPARING, at)), note };
  };
  const looked = await look(connection, {
    action: 's3:GetBucketPublicAccessBlock',
    request: (client) => client.send(noListing(new GetPublicAccessBlockCommand({ Bucket: bucket }))),
    signal,
  });
  const command = ['put-public-access-block', '--public-access-block-configuration', cliText(WHOLE)];
  const todo = { title, state: 'todo', commands: [command], apply } as const;
  if (looked === 'unsupported') return { ...todo, state: 'unsupported', commands: [] };
  if (looked === 'denied') return { ...todo, note: 'cannot be read' };
  const present = looked === 'missing' ? undefined : looked.found.PublicAccessBlockConfiguration;
  const has = (parts: PublicAccessBlockConfiguration): boolean =>
    PARTS.every((part) => parts[part] !== true || present?.[part] === true);
  const done = { ...todo, state: 'done', commands: [] } as const;
  if (!has(connection.custom ? SPARING : WHOLE)) return todo;
  // A run that was killed may have left it so.
  const refuses =
    connection.custom && has(WHOLE) && !(await mayPut(place, `${prefix}/.setup-${randomUUID()}`, signal));
  return refuses ? { ...todo, note: 'writes are refused now', commands: [] } : done;
};

/** Puts an empty object and deletes it. */
async function mayPut(
  { connection, bucket }: { connection: Connection; bucket: string },
  key: string,
  signal: AbortSignal,
): Promise<boolean> {
  const at = { Bucket: bucket, Key: key };
  const written = await put(connection, {
    action: 's3:PutObject',
    request: (client) => client.send(new PutObjectCommand({ ...at, Body: '' })),
    signal,
  });
  if (written.result !== 'done') return false;
  // What may not be deleted is 0 bytes long, and the lifecycle rule's.
  await put(connection, {
    action: 's3:DeleteObject',
    request: (client) => client.send(new DeleteObjectCommand(at)),
    signal,
  });
  return true;
}

function blockOf(blockPublicAcls: boolean): PublicAccessBlockConfiguration {
  return {
    BlockPublicAcls: blockPublicAcls,
    IgnorePublicAcls: true,
    BlockPublicPolicy: true,
    RestrictPublicBuckets: true,
  };
}

function cliText(block: PublicAccessBlockConfiguration): string {
  return PARTS.map((part) => `${part}=${String(block[part] === true)}`).join(',');
}
