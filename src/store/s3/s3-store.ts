/**
 * Entries as objects of one S3 bucket. The only module through which the SDK is loaded: import it
 * dynamically.
 */
import type { CacheError } from '../../errors.ts';
import type {
  EntryDetails,
  EntryInfo,
  OpenEntry,
  RemoveOptions,
  RemoveOutcome,
  RenewOptions,
  StatOptions,
  Store,
  StoreOptions,
  WriteOptions,
  WriteOutcome,
} from '../store.ts';
import { connect, type Connection, type Purpose } from './connection/connection.ts';
import { removeObject } from './deletion.ts';
import { openObject } from './download/download.ts';
import { listObjects } from './listing.ts';
import { HiddenError } from './objects/absence.ts';
import { isDue } from './objects/due.ts';
import { lookUp } from './objects/objects.ts';
import type { ConnectionOptions } from './connection/settings.ts';
import { uploadObject } from './upload/upload.ts';
import { canCopyFrom } from './upload/upload-with-copies.ts';

export interface S3StoreOptions extends ConnectionOptions {
  /** @default the bucket's own */
  sse?: 'AES256' | 'aws:kms' | 'aws:kms:dsse' | undefined;
  /** Key id, alias or ARN for `aws:kms` and `aws:kms:dsse`. */
  kmsKeyId?: string | undefined;
  /** Bytes of the longest ranged read. Four of them are the most that a download holds. @default 8 MiB */
  rangeSize?: number | undefined;
  /** Bytes of one part of an upload, at least 5 MiB. @default 6 MiB */
  partSize?: number | undefined;
  /** Parts sent at a time. @default 4 */
  parts?: number | undefined;
}

const MIB = 1024 * 1024;
/** So 16 connections at most are at work on one entry. */
const SMALLEST_RANGE = 2 * MIB;
const HELD_RANGES = 4;

/** @throws CacheError CONFIG_INVALID */
export async function createS3Store(options: S3StoreOptions): Promise<Store> {
  return new S3Store(await connect(options), options);
}

class S3Store implements Store {
  readonly #connection: Connection;
  readonly #options: S3StoreOptions;
  /** Whether the service copies parts, as far as is known. */
  #copies = true;

  constructor(connection: Connection, options: S3StoreOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  url(key: string): string {
    return `s3://${this.#connection.bucket}/${key}`;
  }

  async stat(key: string, { signal, quiet }: StatOptions): Promise<EntryDetails | undefined> {
    return this.#looking({ action: 's3:GetObject', key, signal, quiet }, async () => {
      const found = await lookUp(this.#connection, key, signal);
      return found && { ...found.info, metadata: found.metadata };
    });
  }

  async open(key: string, { signal }: StoreOptions): Promise<OpenEntry | undefined> {
    const { rangeSize = 8 * MIB } = this.#options;
    const limits = {
      smallest: Math.min(SMALLEST_RANGE, rangeSize),
      largest: rangeSize,
      budget: HELD_RANGES * rangeSize,
    };
    return this.#looking({ action: 's3:GetObject', key, signal }, () =>
      openObject(this.#connection, key, { signal, ...limits }),
    );
  }

  async write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome> {
    const { partSize = 6 * MIB, parts = 4, sse, kmsKeyId } = this.#options;
    const { copies } = options;
    const mayCopy = copies !== undefined && this.#copies && canCopyFrom(this.#connection, copies);
    const outcome = await uploadObject(this.#connection, key, {
      ...options,
      copies: mayCopy ? copies : undefined,
      body,
      partSize,
      parallel: parts,
      sse,
      kmsKeyId,
    });
    if (outcome.type === 'not copied' && outcome.isForGood) this.#copies = false;
    return outcome;
  }

  async *list(prefix: string, { signal }: StoreOptions): AsyncIterable<EntryInfo> {
    try {
      yield* listObjects(this.#connection, prefix, { signal });
    } catch (error) {
      throw this.#explain(error, { action: 's3:ListBucket', key: prefix, signal });
    }
  }

  async remove(key: string, options: RemoveOptions): Promise<RemoveOutcome> {
    const { signal } = options;
    return this.#explained({ action: 's3:DeleteObject', key, signal }, () =>
      removeObject(this.#connection, key, options),
    );
  }

  async renew(entry: EntryInfo, { signal, mayTry }: RenewOptions): Promise<boolean> {
    if (!isDue(entry, this.now()) || !(await mayTry())) return false;
    const { renewObject } = await import('./objects/renew.ts');
    return renewObject(this.#connection, entry, { signal, sse: this.#options.sse });
  }

  now(): number {
    return this.#connection.now();
  }

  close(): void {
    this.#connection.close();
  }

  /** Whoever may neither read nor list gets a miss, and is told so: most often there is no such entry. */
  async #looking<T>(asked: Asked, work: () => Promise<T | undefined>): Promise<T | undefined> {
    return this.#explained(asked, async () => {
      try {
        return await work();
      } catch (error) {
        if (!(error instanceof HiddenError)) throw error;
        if (asked.quiet !== true)
          this.#connection.emit({ type: 'warning', ...hidden(this.#connection.bucket, asked.key) });
        return undefined;
      }
    });
  }

  async #explained<T>(asked: Asked, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw this.#explain(error, asked);
    }
  }

  #explain(error: unknown, { action, key, signal }: Asked): CacheError {
    signal.throwIfAborted();
    return this.#connection.explain(error, { action, key });
  }
}

function hidden(bucket: string, key: string): { message: string; hint: string } {
  const folder = key.slice(0, key.lastIndexOf('/') + 1);
  return {
    message: `Access denied: s3://${bucket}/${key} is taken for missing, because without s3:ListBucket a missing entry looks forbidden`,
    hint: `Allow s3:ListBucket on arn:aws:s3:::${bucket} and s3:GetObject on arn:aws:s3:::${bucket}/${folder}*: sandbox-cache policy prints a policy that does.`,
  };
}

interface Asked extends Purpose {
  signal: AbortSignal;
  quiet?: boolean | undefined;
}
