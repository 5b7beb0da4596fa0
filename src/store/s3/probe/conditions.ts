/** What the service makes of conditions, and which of the requests it knows that not every service does. */
import { CompleteMultipartUploadCommand, UploadPartCommand, UploadPartCopyCommand } from '@aws-sdk/client-s3';
import { inspect } from '../errors/inspect.ts';
import { getRange } from '../objects/objects.ts';
import { ask, type Asking, isDenied, readWhole } from './asking.ts';
import { type Answer, type Conditions, isKnown, known, untried } from './facts.ts';
import { type Scratch, SMALL } from './scratch.ts';

const RACERS = 8;

/** @param taken name of an object that is there */
export async function askPutCondition(
  asking: Asking,
  scratch: Scratch,
  taken: string,
): Promise<Answer<Conditions>> {
  const free = await ask(asking, 's3:PutObject', () =>
    verdict(asking, 'accepted', () => scratch.put('condition', SMALL, IF_ABSENT)),
  );
  if (!isKnown(free, 'accepted')) return free as Answer<Conditions>;
  return ask(asking, 's3:PutObject', () =>
    verdict(asking, 'ignored' as const, () => scratch.put(taken, SMALL, IF_ABSENT)),
  );
}

/** Eight writers at once. @returns how many were told that the object is theirs */
export async function askRace(asking: Asking, scratch: Scratch): Promise<Answer<number>> {
  return ask(asking, 's3:PutObject', async () => {
    const all = await Promise.allSettled(
      Array.from({ length: RACERS }, (_, n) => scratch.put('race', Buffer.from(`racer ${n}`), IF_ABSENT)),
    );
    const failure = all.find(
      (one): one is PromiseRejectedResult => one.status === 'rejected' && !isRefusal(one.reason),
    );
    if (failure !== undefined) throw failure.reason;
    return all.filter(({ status }) => status === 'fulfilled').length;
  });
}

export interface MultipartAnswers {
  multipart: Answer<true>;
  completeIfAbsent: Answer<Conditions>;
  partCopy: Answer<boolean>;
}

/** @param name of a small object that is there */
export async function askMultipart(
  asking: Asking,
  scratch: Scratch,
  { name: taken, mayAbort }: { name: string; mayAbort: boolean },
): Promise<MultipartAnswers> {
  const multipart = await ask(asking, 's3:PutObject', async () => {
    await completeNew(asking, scratch, { name: 'parts' });
    return true as const;
  });
  if (multipart.type !== 'known') {
    const why = 'multipart uploads do not work';
    return { multipart, completeIfAbsent: untried(why), partCopy: untried(why) };
  }
  if (!mayAbort) {
    const why = 'an upload that is refused could not be aborted';
    return { multipart, completeIfAbsent: untried(why), partCopy: untried(why) };
  }
  const free = await ask(asking, 's3:PutObject', () =>
    verdict(asking, 'accepted', () =>
      completeNew(asking, scratch, { name: 'parts-condition', ...IF_ABSENT }),
    ),
  );
  const completeIfAbsent = isKnown(free, 'accepted')
    ? await ask(asking, 's3:PutObject', () =>
        verdict(asking, 'ignored' as const, () =>
          completeNew(asking, scratch, { name: 'parts', ...IF_ABSENT }),
        ),
      )
    : (free as Answer<Conditions>);
  return { multipart, completeIfAbsent, partCopy: await askPartCopy(asking, scratch, taken) };
}

/** Whether the service sends one part of an object when asked for it. */
export async function askRange(asking: Asking, key: string, size: number): Promise<Answer<boolean>> {
  return ask(asking, 's3:GetObject', async () => {
    const end = Math.max(1, Math.min(size, 16));
    const answer = await getRange(asking.connection, { key, start: 0, end }, asking.signal);
    answer.body.destroy();
    return answer.partial;
  });
}

async function askPartCopy(asking: Asking, scratch: Scratch, taken: string): Promise<Answer<boolean>> {
  const { bucket } = asking.connection;
  const source = encodeURI(`${bucket}/${scratch.key(taken)}`);
  const copied = await ask(asking, 's3:PutObject', async () => {
    await completeNew(asking, scratch, { name: 'copied', source });
    return (await readWhole(asking, scratch.key('copied'))).equals(SMALL);
  });
  return copied.type === 'failed' ? known(false) : copied;
}

interface NewUpload {
  name: string;
  IfNoneMatch?: '*';
  /** `bucket/key` of an object that is to be copied in place of sending bytes. */
  source?: string;
}

/** One upload of one part. It is aborted where it does not become an object. */
async function completeNew(
  asking: Asking,
  scratch: Scratch,
  { name, IfNoneMatch, source }: NewUpload,
): Promise<void> {
  const UploadId = await scratch.begin(name);
  const part = {
    Bucket: asking.connection.bucket,
    Key: scratch.key(name),
    UploadId,
    PartNumber: 1,
  };
  try {
    const etag = await sendPart(scratch, part, source);
    const complete = new CompleteMultipartUploadCommand({
      Bucket: part.Bucket,
      Key: part.Key,
      UploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ...etag }] },
      ...(IfNoneMatch === undefined ? {} : { IfNoneMatch }),
    });
    const { VersionId } = await scratch.run((client, options) => client.send(complete, options));
    scratch.completed(UploadId, VersionId);
  } catch (error) {
    await scratch.abort(UploadId).catch(() => {});
    throw error;
  }
}

async function sendPart(
  scratch: Scratch,
  part: { Bucket: string; Key: string; UploadId: string; PartNumber: number },
  source: string | undefined,
): Promise<{ ETag?: string | undefined; ChecksumCRC32?: string | undefined }> {
  if (source !== undefined) {
    const copy = new UploadPartCopyCommand({ ...part, CopySource: source });
    const { CopyPartResult } = await scratch.run((client, options) => client.send(copy, options));
    return { ETag: CopyPartResult?.ETag };
  }
  scratch.count(SMALL.length);
  const upload = new UploadPartCommand({ ...part, Body: SMALL });
  const { ETag, ChecksumCRC32 } = await scratch.run((client, options) => client.send(upload, options));
  return { ETag, ChecksumCRC32 };
}

/** @param accepted what it means that the request succeeds */
async function verdict<T>(
  { signal }: Asking,
  accepted: T,
  request: () => Promise<void>,
): Promise<T | 'honoured' | 'refused'> {
  try {
    await request();
    return accepted;
  } catch (error) {
    signal.throwIfAborted();
    const { name, status } = inspect(error);
    // Swift answers with this status and calls it `InvalidRequest`.
    if (status === 412 || name === 'PreconditionFailed' || name === 'ConditionalRequestConflict')
      return 'honoured';
    if (isDenied(error)) throw error;
    if (status === 501 || status === 400 || status === 405) return 'refused';
    throw error;
  }
}

/** Whether the writer was told that another was faster. Swift says `InvalidRequest`. */
function isRefusal(error: unknown): boolean {
  const { name, status } = inspect(error);
  return (
    status === 409 || ['PreconditionFailed', 'ConditionalRequestConflict', 'InvalidRequest'].includes(name)
  );
}

const IF_ABSENT = { IfNoneMatch: '*' } as const;
