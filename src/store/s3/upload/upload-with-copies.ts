/**
 * An upload that has the service copy what another entry holds already, and sends only the rest. lib-storage
 * cannot copy parts, so this takes its place; every request goes through `UploadRequests` as well.
 */
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  type CopyPartResult,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3';
import type { Chunk } from '../../../async/chunks.ts';
import type { Copies } from '../../store.ts';
import { isSameObject } from '../../identity.ts';
import type { Connection } from '../connection/connection.ts';
import { copySource } from '../objects/copy-source.ts';
import { lookUp } from '../objects/objects.ts';
import { createPartPlanner, PART_SIZES, type PlannedPart } from './part-planner.ts';
import type { UploadRequests } from './upload-requests.ts';

export interface CopyingOptions {
  connection: Connection;
  requests: UploadRequests;
  input: CreateMultipartUploadCommandInput & { Bucket: string; Key: string };
  condition: { IfNoneMatch?: '*'; IfMatch?: string };
  /** Yields the chunks of `copies` as they are. */
  source: AsyncIterable<Chunk>;
  copies: Copies;
  /** Parts under way at a time. */
  parallel: number;
  signal: AbortSignal;
}

/** Below this an upload is few requests, and copies would make more of them. */
const LEAST_BYTES = 2 * PART_SIZES.least;

/** Whether it is worth while to copy from an object, and harmless. */
export function canCopyFrom({ bucket }: Connection, { from }: Copies): boolean {
  const source = copySource({ bucket, key: from.key, etag: from.etag });
  return from.size >= LEAST_BYTES && source !== undefined;
}

/** Not all can be copied, although no request has failed. */
export class NotCopiedError extends Error {
  /** Whether the service will copy nothing else either. */
  readonly isForGood: boolean;
  constructor(message: string, { isForGood }: { isForGood: boolean }) {
    super(message);
    this.isForGood = isForGood;
  }
}

/** @throws NotCopiedError; whatever the source or a request failed with. Then nothing is left of the upload */
export async function uploadWithCopies(options: CopyingOptions): Promise<{ ETag?: string | undefined }> {
  const { connection, requests, input, condition, source, parallel } = options;
  const { Bucket, Key } = input;
  const create = { ...input, ...(connection.custom ? {} : WHOLE_CHECKSUM) };
  const created = await requests.send(new CreateMultipartUploadCommand(create));
  const { UploadId } = created as { UploadId?: string };
  const done: CompletedPart[] = [];
  const underWay = new Set<Promise<void>>();
  try {
    for await (const part of plan(source)) {
      const PartNumber = done.length + underWay.size + 1;
      if (PartNumber > MAX_PARTS)
        throw new NotCopiedError(`it would take more than ${MAX_PARTS} parts`, { isForGood: false });
      const target = { Bucket, Key, UploadId, PartNumber };
      const work: Promise<void> = write(options, target, part).then((written) => {
        done.push({ ...written, PartNumber });
        underWay.delete(work);
      });
      // Thrown below. After the first failure nobody waits for the others.
      work.catch(() => {});
      underWay.add(work);
      if (underWay.size >= parallel) await Promise.race(underWay);
    }
    await Promise.all(underWay);
    await requireUnchanged(options);
    const Parts = done.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0));
    const complete = { Bucket, Key, UploadId, MultipartUpload: { Parts }, ...condition };
    return (await requests.send(new CompleteMultipartUploadCommand(complete))) as { ETag?: string };
  } catch (error) {
    // A part that arrives after the upload was taken back would stay, and be paid for.
    requests.halt();
    await Promise.allSettled(underWay);
    await requests.takeBack();
    throw error;
  }
}

/** The most parts S3 takes. */
export const MAX_PARTS = 10_000;

/** With a checksum of parts, the service would ask for that of each part, and a copied one may have none. */
const WHOLE_CHECKSUM = { ChecksumAlgorithm: 'CRC32', ChecksumType: 'FULL_OBJECT' } as const;

async function* plan(source: AsyncIterable<Chunk>): AsyncGenerator<PlannedPart> {
  const planner = createPartPlanner(PART_SIZES);
  for await (const chunk of source) yield* await planner.add(chunk);
  yield* await planner.end();
}

interface Target {
  Bucket: string;
  Key: string;
  UploadId: string | undefined;
  PartNumber: number;
}

async function write(
  { requests, copies: { from }, connection }: CopyingOptions,
  target: Target,
  part: PlannedPart,
): Promise<Pick<CompletedPart, 'ETag'>> {
  if (part.type === 'send') {
    const sent = (await requests.send(
      new UploadPartCommand({ ...target, Body: part.body }),
    )) as CopyPartResult;
    return { ETag: sent.ETag };
  }
  const copy = new UploadPartCopyCommand({
    ...target,
    CopySource: '',
    ...copySource({ bucket: connection.bucket, ...from }),
    CopySourceRange: `bytes=${part.start}-${part.end - 1}`,
  });
  const { CopyPartResult: result } = (await requests.send(copy)) as { CopyPartResult?: CopyPartResult };
  // It may have taken this for a part without a body.
  if (result?.ETag === undefined)
    throw new NotCopiedError('a part was copied, and nothing told of it', { isForGood: true });
  return { ETag: result.ETag };
}

/** Ceph RGW and moto take any ETag in the condition of a copy. */
async function requireUnchanged({ connection, copies: { from }, signal }: CopyingOptions): Promise<void> {
  if (await isAsItWas(connection, from, signal)) return;
  throw new NotCopiedError(`${from.key} was replaced while it was copied`, { isForGood: false });
}

/** Whether the older entry is still the object that was restored. @throws what the look at it fails with */
export async function isAsItWas(
  connection: Connection,
  from: Copies['from'],
  signal: AbortSignal,
): Promise<boolean> {
  const present = (await lookUp(connection, from.key, signal))?.info;
  return present !== undefined && present.size === from.size && isSameObject(present, from);
}
