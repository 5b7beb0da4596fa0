/**
 * The objects and uploads that a probe makes, all below one prefix that nobody else uses, and their removal.
 * Every key is noted before the request that may make it appear, so that an interruption leaves nothing
 * unknown. In a versioned bucket each version is deleted by its id: a plain deletion would only hide it.
 */
import {
  AbortMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
} from '@aws-sdk/client-s3';
import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { linkAbort } from '../../../async/abort.ts';
import type { Connection } from '../connection/connection.ts';
import { inspect } from '../errors/inspect.ts';
import { isMissing } from '../objects/objects.ts';

/** What the small objects of a probe hold. */
export const SMALL = Buffer.from('sandbox-cache doctor was here: this object may be deleted.\n');
/** All that one probe may send. */
const MAX_BYTES = 16 * 1024 * 1024;
/** How long requests under way may take to end once the probe is interrupted. */
const GRACE_MS = 700;
/** Limit for the removal of everything. */
const CLEAR_MS = { interrupted: 2500, finished: 15_000 };

/** How new objects are encrypted. */
export type Encryption = Pick<PutObjectCommandInput, 'ServerSideEncryption' | 'SSEKMSKeyId'>;

export class Scratch {
  /** `<prefix>/.doctor/<uuid>/` */
  readonly prefix: string;
  /** Whether the bucket keeps versions, as far as is known. */
  versioned = false;
  readonly #connection: Connection;
  readonly #encryption: Encryption;
  readonly #signal: AbortSignal;
  /** By key, the versions that were told of; an object without versions has none. */
  readonly #objects = new Map<string, Set<string>>();
  readonly #uploads = new Map<string, string>();
  readonly #underWay = new Set<Promise<unknown>>();
  #bytes = 0;

  constructor(
    connection: Connection,
    options: { prefix: string; signal: AbortSignal; encryption: Encryption },
  ) {
    this.prefix = `${options.prefix}/.doctor/${randomUUID()}/`;
    this.#connection = connection;
    this.#signal = options.signal;
    // Every request in flight listens; Node would take eleven of them for a leak and print a warning.
    setMaxListeners(0, options.signal);
    this.#encryption = options.encryption;
  }

  key(name: string): string {
    return `${this.prefix}${name}`;
  }

  /** @throws what the SDK threw; an impossible state when the probe would send more than it may */
  async put(name: string, body: Uint8Array, condition: { IfNoneMatch?: '*' } = {}): Promise<void> {
    const key = this.key(name);
    this.count(body.length);
    this.#note(key);
    const command = new PutObjectCommand({
      Bucket: this.#connection.bucket,
      Key: key,
      Body: body,
      ...this.#encryption,
      ...condition,
    });
    const { VersionId } = await this.run((client, options) => client.send(command, options));
    this.#note(key, VersionId);
  }

  /** Begins a multipart upload. @returns its id */
  async begin(name: string): Promise<string> {
    const key = this.key(name);
    const command = new CreateMultipartUploadCommand({
      Bucket: this.#connection.bucket,
      Key: key,
      ...this.#encryption,
    });
    // Noted first: an answer that is lost leaves an upload that only a listing finds.
    const pending = `${PENDING}${randomUUID()}`;
    this.#uploads.set(pending, key);
    const { UploadId = '' } = await this.run((client, options) => client.send(command, options));
    this.#uploads.delete(pending);
    this.#uploads.set(UploadId, key);
    return UploadId;
  }

  /** An upload has become an object. */
  completed(uploadId: string, versionId: string | undefined): void {
    const key = this.#uploads.get(uploadId);
    this.#uploads.delete(uploadId);
    if (key !== undefined) this.#note(key, versionId);
  }

  /** Aborts an upload. @throws what the SDK threw */
  async abort(uploadId: string): Promise<void> {
    const key = this.#uploads.get(uploadId);
    if (key === undefined) return;
    const command = new AbortMultipartUploadCommand({
      Bucket: this.#connection.bucket,
      Key: key,
      UploadId: uploadId,
    });
    await this.run((client, options) => client.send(command, options));
    this.#uploads.delete(uploadId);
  }

  /** Deletes as `prune` does. In a versioned bucket that makes one more version, to be removed later. */
  async delete(name: string): Promise<void> {
    const key = this.key(name);
    const command = new DeleteObjectCommand({ Bucket: this.#connection.bucket, Key: key });
    const { VersionId } = await this.run((client, options) => client.send(command, options));
    if (VersionId !== undefined) this.#note(key, VersionId);
    else this.#objects.delete(key);
  }

  /** Counts bytes that are about to be sent. */
  count(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > MAX_BYTES) throw new Error('the probe would send more than it may');
  }

  /**
   * A request that changes something. When interrupted it may end by itself for a moment: who cuts it off
   * does not know whether it was carried out.
   */
  async run<T>(
    request: (client: Connection['client'], options: { abortSignal: AbortSignal }) => Promise<T>,
  ): Promise<T> {
    this.#signal.throwIfAborted();
    const late = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const interrupt = (): void => void (timer = setTimeout(() => late.abort(this.#signal.reason), GRACE_MS));
    this.#signal.addEventListener('abort', interrupt, { once: true });
    const running = this.#connection.send(
      (client) => request(client, { abortSignal: late.signal }),
      late.signal,
    );
    this.#underWay.add(running);
    try {
      return await running;
    } finally {
      this.#underWay.delete(running);
      clearTimeout(timer);
      this.#signal.removeEventListener('abort', interrupt);
    }
  }

  /** Removes everything, whatever has happened. @returns what is left, as URLs */
  async clear(): Promise<string[]> {
    await Promise.allSettled(this.#underWay);
    if (this.#objects.size === 0 && this.#uploads.size === 0) return [];
    const limit = linkAbort(new AbortController().signal);
    const ms = this.#signal.aborted ? CLEAR_MS.interrupted : CLEAR_MS.finished;
    const timer = setTimeout(() => limit.abort(new Error('late')), ms);
    try {
      return await this.#clear(limit.signal);
    } finally {
      clearTimeout(timer);
    }
  }

  async #clear(signal: AbortSignal): Promise<string[]> {
    const { bucket } = this.#connection;
    const left: string[] = [];
    const gone = async (key: string, command: DeleteObjectCommand | AbortMultipartUploadCommand) => {
      try {
        await this.#connection.send(
          (client) => client.send(command as DeleteObjectCommand, { abortSignal: signal }),
          signal,
        );
      } catch (error) {
        if (!isMissing(error) && !GONE.has(inspect(error).name)) left.push(`s3://${bucket}/${key}`);
      }
    };
    await this.#findUploads(signal);
    await Promise.all(
      [...this.#uploads].map(([UploadId, Key]) =>
        gone(Key, new AbortMultipartUploadCommand({ Bucket: bucket, Key, UploadId })),
      ),
    );
    await this.#findVersions(signal);
    await Promise.all(
      [...this.#objects].flatMap(([Key, versions]) =>
        versions.size === 0
          ? [gone(Key, new DeleteObjectCommand({ Bucket: bucket, Key }))]
          : [...versions].map((VersionId) =>
              gone(Key, new DeleteObjectCommand({ Bucket: bucket, Key, VersionId })),
            ),
      ),
    );
    return [...new Set(left)];
  }

  /** A lost answer may have left an upload without a known id. Not all may list them. */
  async #findUploads(signal: AbortSignal): Promise<void> {
    const unknown = [...this.#uploads].filter(([id]) => id.startsWith(PENDING));
    if (unknown.length === 0) return;
    for (const [id] of unknown) this.#uploads.delete(id);
    const command = new ListMultipartUploadsCommand({
      Bucket: this.#connection.bucket,
      Prefix: this.prefix,
    });
    const list = this.#connection.send((client) => client.send(command, { abortSignal: signal }), signal);
    const { Uploads = [] } = await list.catch(() => ({ Uploads: [] }));
    for (const { UploadId, Key } of Uploads)
      if (UploadId !== undefined && Key?.startsWith(this.prefix) === true) this.#uploads.set(UploadId, Key);
  }

  /** A request that was sent twice makes two versions and tells of one. Not all may list them. */
  async #findVersions(signal: AbortSignal): Promise<void> {
    if (!this.versioned) return;
    const command = new ListObjectVersionsCommand({
      Bucket: this.#connection.bucket,
      Prefix: this.prefix,
    });
    const list = this.#connection.send((client) => client.send(command, { abortSignal: signal }), signal);
    const { Versions = [], DeleteMarkers = [] } = await list.catch(() => ({}) as VersionList);
    for (const { Key, VersionId } of [...Versions, ...DeleteMarkers])
      if (Key?.startsWith(this.prefix) === true) this.#note(Key, VersionId);
  }

  #note(key: string, versionId?: string): void {
    const versions = this.#objects.get(key) ?? new Set<string>();
    if (versionId !== undefined) {
      versions.add(versionId);
      this.versioned = true;
    }
    this.#objects.set(key, versions);
  }
}

interface VersionList {
  Versions?: { Key?: string; VersionId?: string }[];
  DeleteMarkers?: { Key?: string; VersionId?: string }[];
}

/** Stands before the id of an upload whose own id is not known. */
const PENDING = '?';
const GONE = new Set(['NoSuchUpload', 'NoSuchVersion', 'NoSuchKey']);
