/**
 * Examines a bucket, safely for one in production. It writes only below `<prefix>/.doctor/<uuid>`, 16 MiB at
 * most, and removes all of it, also when interrupted. Before anything is written it asks whether it may be
 * removed again; the first object is small, and has to be removable before more are made.
 */
import {
  AbortMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListObjectsV2Command,
  type _Object as ListedObject,
} from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { connect, type Connection } from '../connection/connection.ts';
import type { ConnectionOptions } from '../connection/settings.ts';
import { where } from '../errors/context.ts';
import { inspect } from '../errors/inspect.ts';
import { isMissing } from '../objects/objects.ts';
import { ask, type Asking, readWhole, send } from './asking.ts';
import { askMultipart, askPutCondition, askRace, askRange } from './conditions.ts';
import { type Answer, isKnown, known, type Right, type StoreFacts, untried } from './facts.ts';
import { Scratch, SMALL } from './scratch.ts';
import { askSettings } from './settings.ts';
import { askDownload, askLatency, askUpload, LARGE } from './speed.ts';

export interface ProbeOptions extends Omit<ConnectionOptions, 'emit'> {
  /** That of the entries, without a slash at its end. */
  prefix: string;
  signal: AbortSignal;
  /** Why nothing may be written, e.g. `CACHE_READONLY is set`. @default it may */
  noWrite?: string | undefined;
  sse?: 'AES256' | 'aws:kms' | 'aws:kms:dsse' | undefined;
  kmsKeyId?: string | undefined;
}

/** @throws CacheError CONFIG_INVALID, or the signal's reason once everything has been removed */
export async function probeStore(options: ProbeOptions): Promise<StoreFacts> {
  const connection = await connect({ ...options, emit: () => {} });
  const askedRegion = connection.context(NOTHING).region;
  try {
    const facts = await probe(connection, options);
    const { region } = connection.context(NOTHING);
    return { ...facts, region, askedRegion: region === askedRegion ? undefined : askedRegion };
  } finally {
    connection.close();
  }
}

const NOTHING = { action: '', key: '' };

async function probe(connection: Connection, options: ProbeOptions): Promise<StoreFacts> {
  const { prefix, signal, sse, kmsKeyId } = options;
  const scratch = new Scratch(connection, {
    prefix,
    signal,
    encryption: {
      ...(sse === undefined ? {} : { ServerSideEncryption: sse }),
      ...(kmsKeyId === undefined ? {} : { SSEKMSKeyId: kmsKeyId }),
    },
  });
  const asking = { connection, signal, key: scratch.prefix };
  const facts = nothingKnown(connection, options);

  const listing = await askListing(asking, prefix);
  facts.rights.list = listing.type === 'known' ? known(true) : listing;
  const missing = listing.type === 'failed' ? listing : await askMissing(asking, scratch.key('missing'));
  facts.clockAheadMs = connection.now() - Date.now();
  if (listing.type === 'failed') return { ...facts, unusable: listing.error };
  if (missing.type === 'failed') return { ...facts, unusable: missing.error };
  const entries = listing.type === 'known' ? listing.value : [];
  facts.storageClasses = [...new Set(entries.flatMap(({ StorageClass }) => StorageClass ?? []))];
  // Without the right to list, a missing key is forbidden too: only an object that is there can tell.
  if (missing.type === 'known' || listing.type === 'known') facts.rights.get = missing;

  Object.assign(facts, await askSettings(asking, prefix));
  scratch.versioned = !isKnown(facts.versioning, undefined) && facts.versioning.type === 'known';
  facts.latencyMs =
    listing.type === 'known' ? await askLatency(asking, prefix) : untried('s3:ListBucket is not allowed');
  const noWrite =
    options.noWrite ?? (isKnown(facts.objectLock, true) ? 'Object Lock keeps what is written' : undefined);
  if (noWrite === undefined) await write(facts, { asking, scratch });
  else markUnwritten(facts, noWrite);
  if (facts.download.type === 'untried') await readEntry(facts, asking, entries);
  return facts;
}

interface Writing {
  asking: Asking;
  scratch: Scratch;
}

/** Everything that makes objects. Fills in `facts`. */
async function write(facts: StoreFacts, { asking, scratch }: Writing): Promise<void> {
  facts.rights.abort = await askAbort(asking, scratch.key('aborted'));
  facts.rights.delete = await askDelete(asking, scratch);
  try {
    if (facts.rights.delete.type !== 'known') await writeNothingThatStays(facts, { asking, scratch });
    else await writeObjects(facts, { asking, scratch });
  } finally {
    facts.left.push(...(await scratch.clear()));
  }
}

/** For those who may save and not delete: an upload that is aborted takes the same right, and leaves nothing. */
async function writeNothingThatStays(facts: StoreFacts, { asking, scratch }: Writing): Promise<void> {
  const why = 'nothing is written that could not be removed again';
  markUnwritten(facts, why);
  if (facts.rights.abort.type !== 'known') return;
  const begun = await ask(asking, 's3:PutObject', async () => {
    await scratch.abort(await scratch.begin('aborted'));
    return true as const;
  });
  facts.rights.put = begun;
  facts.rights.multipart = begun;
}

async function writeObjects(facts: StoreFacts, { asking, scratch }: Writing): Promise<void> {
  const first = 'first';
  const put = await ask(asking, 's3:PutObject', async () => {
    await scratch.put(first, SMALL);
    return true as const;
  });
  facts.rights.put = put;
  if (put.type !== 'known') {
    markUnwritten(facts, 'objects cannot be written');
    facts.rights.multipart = put;
    return;
  }
  facts.rights.get = await askGet(asking, scratch.key(first));
  facts.rights.delete = await ask(asking, 's3:DeleteObject', async () => {
    await scratch.delete(first);
    return true as const;
  });
  facts.left = await scratch.clear();
  if (facts.rights.delete.type !== 'known' || facts.left.length > 0)
    return markUnwritten(facts, 'what was written could not be removed again');

  const canRead = isKnown(facts.rights.get, true);
  await scratch.put('taken', SMALL);
  facts.putIfAbsent = await askPutCondition(asking, scratch, 'taken');
  facts.raceWinners = isKnown(facts.putIfAbsent, 'refused')
    ? untried('the service knows no such condition')
    : await askRace(asking, scratch);
  await scratch.put('source', SMALL);
  Object.assign(facts, await askUploads(facts, { asking, scratch }));
  const unread = 's3:GetObject is not allowed';
  facts.ranges = canRead ? await askRange(asking, scratch.key('source'), SMALL.length) : untried(unread);
  const { upload, bytes } = await askUpload(asking, scratch);
  facts.upload = upload;
  facts.download =
    canRead && bytes > 0 ? await askDownload(asking, scratch.key(LARGE), bytes) : untried(unread);
}

async function askUploads(
  { rights }: StoreFacts,
  { asking, scratch }: Writing,
): Promise<Pick<StoreFacts, 'completeIfAbsent' | 'partCopy' | 'rights'>> {
  const mayAbort = rights.abort.type === 'known';
  const asked = await askMultipart(asking, scratch, { name: 'source', mayAbort });
  const { multipart, ...answers } = asked;
  if (!mayAbort || multipart.type !== 'known') return { ...answers, rights: { ...rights, multipart } };
  const abort = await ask(asking, 's3:AbortMultipartUpload', async () => {
    await scratch.abort(await scratch.begin('aborted'));
    return true as const;
  });
  return { ...answers, rights: { ...rights, multipart, abort } };
}

/** Nothing may be written: what reading tells, it tells of an entry that is there. */
async function readEntry(facts: StoreFacts, asking: Asking, entries: readonly ListedObject[]): Promise<void> {
  const [largest] = [...entries].sort((a, b) => (b.Size ?? 0) - (a.Size ?? 0));
  const { Key: key, Size: size = 0 } = largest ?? {};
  if (key === undefined || size === 0) return;
  const own = { ...asking, key };
  facts.ranges = await askRange(own, key, size);
  if (facts.ranges.type === 'known') facts.rights.get = known(true);
  if (facts.ranges.type === 'denied') facts.rights.get = facts.ranges;
  if (facts.ranges.type === 'known') facts.download = await askDownload(own, key, size);
}

/** What is under the prefix, the first hundred at most. */
function askListing(asking: Asking, prefix: string): Promise<Answer<ListedObject[]>> {
  const command = new ListObjectsV2Command({
    Bucket: asking.connection.bucket,
    Prefix: `${prefix}/`,
    MaxKeys: 100,
  });
  return ask({ ...asking, key: `${prefix}/` }, 's3:ListBucket', async () => {
    const { Contents = [] } = await send(asking, (client, options) => client.send(command, options));
    return Contents;
  });
}

function askMissing(asking: Asking, key: string): Promise<Answer<true>> {
  const command = new GetObjectCommand({ Bucket: asking.connection.bucket, Key: key, Range: 'bytes=0-0' });
  return ask({ ...asking, key }, 's3:GetObject', async () => {
    try {
      const { Body } = await send(asking, (client, options) => client.send(command, options));
      (Body as unknown as Readable).on('error', () => {}).destroy();
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    return true as const;
  });
}

/** Reads a small object that was written a moment ago. */
function askGet(asking: Asking, key: string): Promise<Answer<true>> {
  return ask({ ...asking, key }, 's3:GetObject', async () => {
    if (!(await readWhole(asking, key)).equals(SMALL))
      throw new Error('what is read is not what was written');
    return true as const;
  });
}

/** A right, asked with a request for what there never was: to be told so is to be allowed. */
function askInVain(
  asking: Asking,
  action: string,
  request: Parameters<typeof send>[1],
): Promise<Answer<true>> {
  return ask(asking, action, async () => {
    try {
      await send(asking, request);
    } catch (error) {
      const { status } = inspect(error);
      if (status !== 404 && status !== 400) throw error;
    }
    return true as const;
  });
}

/** The right to abort, asked with an upload that there never was. */
function askAbort(asking: Asking, key: string): Promise<Answer<true>> {
  const { bucket } = asking.connection;
  const command = new AbortMultipartUploadCommand({ Bucket: bucket, Key: key, UploadId: NO_UPLOAD });
  return askInVain({ ...asking, key }, 's3:AbortMultipartUpload', (client, options) =>
    client.send(command, options),
  );
}

/**
 * The right to delete, asked with a key that there never was. Where versions are kept, a plain deletion would
 * leave a marker, so there it is a version that never was.
 */
function askDelete(asking: Asking, { versioned, prefix }: Scratch): Promise<Answer<true>> {
  const key = `${prefix}never`;
  const command = new DeleteObjectCommand({
    Bucket: asking.connection.bucket,
    Key: key,
    ...(versioned ? { VersionId: 'null' } : {}),
  });
  const action = versioned ? 's3:DeleteObjectVersion' : 's3:DeleteObject';
  return askInVain({ ...asking, key }, action, (client, options) => client.send(command, options));
}

const NO_UPLOAD = 'c2FuZGJveC1jYWNoZS1kb2N0b3I';

function markUnwritten(facts: StoreFacts, why: string): void {
  for (const right of ['put', 'delete', 'multipart', 'abort'] as const)
    if (facts.rights[right].type === 'untried') facts.rights[right] = untried(why);
  facts.putIfAbsent = untried(why);
  facts.completeIfAbsent = untried(why);
  facts.raceWinners = untried(why);
  facts.partCopy = untried(why);
  facts.upload = untried(why);
  facts.download = untried(why);
  facts.ranges = untried(why);
}

function nothingKnown(connection: Connection, { prefix }: ProbeOptions): StoreFacts {
  const no = <T>(): Answer<T> => untried<T>('the bucket cannot be used');
  const rights: Record<Right, Answer<true>> = {
    list: no(),
    get: untried('without s3:ListBucket, only an object that is there can tell'),
    put: no(),
    delete: no(),
    multipart: no(),
    abort: no(),
  };
  return {
    bucket: connection.bucket,
    prefix,
    place: where(connection.context(NOTHING)),
    custom: connection.custom,
    region: connection.context(NOTHING).region,
    askedRegion: undefined,
    unusable: undefined,
    clockAheadMs: 0,
    rights,
    putIfAbsent: no(),
    completeIfAbsent: no(),
    raceWinners: no(),
    ranges: no(),
    partCopy: no(),
    publicAccess: no(),
    encryption: no(),
    versioning: no(),
    objectLock: no(),
    lifecycle: no(),
    notifications: no(),
    storageClasses: [],
    latencyMs: no(),
    download: no(),
    upload: no(),
    left: [],
  };
}
