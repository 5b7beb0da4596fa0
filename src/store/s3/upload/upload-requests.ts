/**
 * The requests of one upload. lib-storage decides what to send and when; here each request gets our retries,
 * is ended when the upload is interrupted, and deals with how servers treat conditions.
 */
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3';
import { withinTime, type LinkedAbort } from '../../../async/abort.ts';
import { isSameObject, type Identity } from '../../identity.ts';
import { refusesCondition } from '../objects/conditions.ts';
import type { Connection } from '../connection/connection.ts';
import { isMissing, lookUpIfVisible, plainEtag, ReplacedError, type ObjectInfo } from '../objects/objects.ts';
import { inspect } from '../errors/inspect.ts';

export interface UploadRequestsOptions {
  signal: AbortSignal;
  /** The object that ours should replace. @default none */
  replaced?: Identity | undefined;
  /** Called with the first request that failed for good. */
  onFailure: (error: Error) => void;
}

/**
 * `CreateMultipartUpload` may still answer this long after an interruption: without its answer nobody can
 * abort it.
 */
const CREATE_GRACE_MS = 500;
/** Limits for taking an upload back: interrupted, and otherwise. */
const ABORT_MS = { interrupted: 1000, failed: 10_000 };
const MAX_CONFLICTS = 4;

type Publish = PutObjectCommand | CompleteMultipartUploadCommand;

export class UploadRequests {
  /** The first request that failed for good. */
  failure: Error | undefined;
  /** What it was to do, as the SDK's command. */
  failed: unknown;
  /** Whether a request that may make the object appear has been sent. */
  published = false;
  #uploadId: string | undefined;
  #takenBack: Promise<void> | undefined;
  readonly #connection: Connection;
  readonly #key: string;
  readonly #options: UploadRequestsOptions;
  /** Ends the requests in flight, when interrupted or when one of them has failed. */
  readonly #halt: LinkedAbort;

  constructor(connection: Connection, key: string, options: UploadRequestsOptions) {
    this.#connection = connection;
    this.#key = key;
    this.#options = options;
    this.#halt = connection.link(options.signal);
  }

  /** In place of the client's own `send`. */
  readonly send = async (command: unknown): Promise<unknown> => {
    if (command instanceof AbortMultipartUploadCommand) return this.takeBack();
    try {
      if (command instanceof CreateMultipartUploadCommand) return await this.#create(command);
      if (command instanceof PutObjectCommand) return await this.#publish(command);
      if (command instanceof CompleteMultipartUploadCommand) return await this.#complete(command);
      return await this.#send(command, this.#halt.signal);
    } catch (error) {
      this.#fail(error as Error, command);
      throw error;
    }
  };

  /** Ends the requests under way, because the upload is given up. */
  halt(): void {
    this.#halt.abort(new Error('the upload was given up'));
  }

  /** Removes the multipart upload, if there is one. Never rejects: the reason for it is what must be told. */
  takeBack(): Promise<void> {
    this.#takenBack ??= this.#takeBack();
    return this.#takenBack;
  }

  close(): void {
    this.#halt.unlink();
  }

  #fail(error: Error, command: unknown): void {
    // Those that `halt` ends have not failed.
    if (this.failure !== undefined || this.#halt.signal.aborted) return;
    this.failure = error;
    this.failed = command;
    this.#halt.abort(error);
    this.#options.onFailure(error);
  }

  async #create(command: CreateMultipartUploadCommand): Promise<unknown> {
    const { signal } = this.#options;
    const late = new AbortController();
    let timer: NodeJS.Timeout | undefined;
    const interrupt = (): void => {
      timer = setTimeout(() => late.abort(signal.reason), CREATE_GRACE_MS);
    };
    signal.throwIfAborted();
    signal.addEventListener('abort', interrupt, { once: true });
    try {
      const created = (await this.#send(command, late.signal)) as { UploadId?: string };
      this.#uploadId = created.UploadId;
      return created;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', interrupt);
    }
  }

  async #complete(command: CompleteMultipartUploadCommand): Promise<unknown> {
    const { IfNoneMatch, IfMatch } = command.input;
    // AWS decides by the condition. Others may ignore it here while they honour it on PutObject (Ceph): look
    // first.
    if (this.#connection.custom && (IfNoneMatch !== undefined || IfMatch !== undefined)) {
      const present = await this.#present();
      if (present !== undefined && !this.#isReplaced(present)) throw new ReplacedError();
    }
    return this.#publish(command);
  }

  /** Sends what makes the object appear, with another condition where the server cannot use the first. */
  async #publish(first: Publish): Promise<unknown> {
    const { signal } = this.#halt;
    const retry = this.#connection.retry(signal);
    let command = first;
    for (let conflicts = 0; ;) {
      try {
        this.published = true;
        return await this.#send(command, signal);
      } catch (error) {
        if (inspect(error).name === 'ConditionalRequestConflict' && conflicts < MAX_CONFLICTS) {
          conflicts += 1;
          await retry.pause('throttled', conflicts);
        } else {
          command = await this.#relaxed(command, error);
        }
      }
    }
  }

  /**
   * The same request with the next weaker condition, after one was refused that holds.
   * @throws `error`, or ReplacedError, where the condition does not hold or was not what was refused
   */
  async #relaxed(command: Publish, error: unknown): Promise<Publish> {
    const { IfNoneMatch, IfMatch } = command.input;
    if (IfNoneMatch === undefined && IfMatch === undefined) throw error;
    // The object that we wanted to replace is gone, so ours must be the first.
    if (IfMatch !== undefined && isMissing(error)) return withCondition(command, { IfNoneMatch: '*' });
    if (!refusesCondition(error)) throw error;
    const { name, status } = inspect(error);
    const present = await this.#present();
    if (present !== undefined && !this.#isReplaced(present)) throw new ReplacedError();
    // The server knows no conditions. The lookup afterwards shows who was last.
    if (status === 501) return withCondition(command, {});
    if (IfMatch === undefined) {
      if (name === 'PreconditionFailed') throw error;
      return withCondition(command, {});
    }
    if (present === undefined) return withCondition(command, { IfNoneMatch: '*' });
    // It was copied onto itself meanwhile.
    if (present.info.etag !== plainEtag(IfMatch))
      return withCondition(command, { IfMatch: `"${present.info.etag}"` });
    // Ceph RGW 16 compares the header as it is, quotes included.
    return withCondition(command, IfMatch.startsWith('"') ? { IfMatch: plainEtag(IfMatch) } : {});
  }

  #isReplaced({ info }: ObjectInfo): boolean {
    const { replaced } = this.#options;
    return replaced !== undefined && isSameObject(info, replaced);
  }

  /** What is under the key, as far as it may be seen. */
  #present(): Promise<ObjectInfo | undefined> {
    return lookUpIfVisible(this.#connection, this.#key, this.#halt.signal);
  }

  async #takeBack(): Promise<void> {
    const uploadId = this.#uploadId;
    if (uploadId === undefined) return;
    const limit = new AbortController();
    const ms = this.#options.signal.aborted ? ABORT_MS.interrupted : ABORT_MS.failed;
    const abort = new AbortMultipartUploadCommand({
      Bucket: this.#connection.bucket,
      Key: this.#key,
      UploadId: uploadId,
    });
    const gone = this.#send(abort, limit.signal).then(
      () => true,
      (error: unknown) => inspect(error).name === 'NoSuchUpload' || isMissing(error),
    );
    if ((await withinTime(gone, ms)) === true) return;
    limit.abort();
    this.#connection.emit({
      type: 'warning',
      message: `The unfinished upload of s3://${this.#connection.bucket}/${this.#key} could not be removed`,
      hint: 'Allow s3:AbortMultipartUpload, and let a lifecycle rule remove unfinished uploads (docs/setup.md).',
    });
  }

  #send(command: unknown, signal: AbortSignal): Promise<unknown> {
    // lib-storage's commands are the client's own; only their common type is out of reach here.
    const known = command as PutObjectCommand;
    return this.#connection.send((client: S3Client) => client.send(known, { abortSignal: signal }), signal);
  }
}

function withCondition(command: Publish, condition: { IfNoneMatch?: '*'; IfMatch?: string }): Publish {
  if (command instanceof PutObjectCommand) {
    const { IfNoneMatch: _, IfMatch: __, ...input } = command.input;
    return new PutObjectCommand({ ...input, ...condition });
  }
  const { IfNoneMatch: _, IfMatch: __, ...input } = command.input;
  return new CompleteMultipartUploadCommand({ ...input, ...condition });
}
