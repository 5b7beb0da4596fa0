import type { Chunk } from '../async/chunks.ts';
import type { Identity } from './identity.ts';

/**
 * Where bytes live. A store knows keys and byte streams and nothing of tar, lockfiles or recipes. Keys are
 * full (`<prefix>/<recipe>-<hash>-<runtime>.tar.gz`) and are always compared exactly. Every method rejects
 * with a `CacheError`; a missing entry is a value (`undefined`), not an error. Every method honours its
 * `signal`: an abort rejects with `signal.reason` (a `CacheError`: TIMEOUT or INTERRUPTED).
 */
export interface Store {
  /** The key as a person would paste it elsewhere: `s3://bucket/key`, or a file path. */
  url(key: string): string;

  /** Looks one entry up without reading it. */
  stat(key: string, options: StatOptions): Promise<EntryDetails | undefined>;

  /**
   * Opens an entry for reading from its first byte to its last, in order. Resolves once the first bytes are
   * here. The body resumes by itself after network faults, pinned to the same ETag; when it ends without an
   * error exactly `info.size` bytes came. A consumer that stops early (`return()`) releases all connections.
   */
  open(key: string, options: StoreOptions): Promise<OpenEntry | undefined>;

  /**
   * Streams a new entry in. Appears whole or not at all: when `body` throws, `signal` aborts or the store
   * fails, nothing is left behind (no temporary file, no open multipart upload) and the call rejects.
   */
  write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome>;

  /** All entries whose key begins with `prefix`, in no particular order. */
  list(prefix: string, options: StoreOptions): AsyncIterable<EntryInfo>;

  /** Removes one entry; with `etag`, only if it is still that object. */
  remove(key: string, options: RemoveOptions): Promise<RemoveOutcome>;

  /**
   * Writes an entry anew, as it is, if it is old: whoever deletes by age then keeps what is used. It stays the
   * same object by its write id; its ETag may change. Only stores that others delete from have it.
   * @returns whether it was; never rejects because it could not be
   */
  renew?(entry: EntryInfo, options: RenewOptions): Promise<boolean>;

  /**
   * The time by the clock that dates the entries, in milliseconds since 1970: the service's own, as its last
   * answer told it. This machine's where no answer has come yet.
   */
  now(): number;

  /** Releases sockets and timers; nothing of the store may be used afterwards. */
  close(): void;
}

export interface StoreOptions {
  signal: AbortSignal;
}

export interface StatOptions extends StoreOptions {
  /**
   * Whether nothing is told of an entry that only counts as missing because this user may not see it.
   * @default false
   */
  quiet?: boolean;
}

/** Without an ETag, whatever is under the key. */
export type RemoveOptions = StoreOptions & Partial<Identity>;

export interface RenewOptions extends StoreOptions {
  /** Asked once the entry turns out to be old. */
  mayTry: () => Promise<boolean>;
}

export interface WriteOptions extends StoreOptions {
  /**
   * What to do when the key is taken.
   * - `keep`: keep what is there and report `exists` (write-once; the default of `save`)
   * - `replace`: overwrite (`save --force`)
   * - an identity: overwrite only that object, else report `exists` (healing a corrupt entry)
   */
  ifExists: 'keep' | 'replace' | Identity;
  /** Small strings that travel with the entry (S3 user metadata): lower-case keys, ASCII values. */
  metadata: Record<string, string>;
  /** Another entry that holds part of the bytes. A store that cannot copy from it takes the body as it is. */
  copies?: Copies | undefined;
}

export interface Copies {
  from: Pick<EntryInfo, 'key' | 'size' | 'etag' | 'writeId'>;
  /** The body, with what the entry holds of it. Iterated in place of the body, never beside it. */
  chunks: AsyncIterable<Chunk>;
}

export interface EntryInfo extends Identity {
  key: string;
  /** Bytes as stored. */
  size: number;
  /** Undefined where the store does not say, or says something that is no date. */
  modified: Date | undefined;
  /** When a lifecycle rule will delete it, as far as the store says. */
  expires?: Date | undefined;
}

export interface EntryDetails extends EntryInfo {
  /** What travels with the entry. */
  metadata: Record<string, string>;
}

export interface OpenEntry {
  info: EntryInfo;
  /**
   * Where the bytes come from. With a directory in front of S3, this is known only once the entry is open.
   */
  from: 's3' | 'local';
  metadata: Record<string, string>;
  /**
   * For a copy, ends with STORE_REPLACED when its original was deleted or replaced: the next `open` reads
   * that.
   */
  body: AsyncIterable<Uint8Array>;
  /**
   * Only a copy has it. To be called if the copy is damaged: it is dropped, and the next `open` reads the
   * original.
   */
  dropCopy?: () => Promise<void>;
}

/**
 * `absent`: nothing was under the key. `another`: what is there is not the object that was named, and stays.
 */
export type RemoveOutcome = 'removed' | 'absent' | 'another';

export type WriteOutcome =
  | { type: 'saved'; size: number; etag: string; writeId?: string }
  /** Somebody else's entry is under the key. Ours was discarded. */
  | { type: 'exists' }
  /**
   * Not all could be copied. Nothing is left of the entry; to be written again, without `copies`.
   * `isForGood`: the service will copy no other entry either.
   */
  | { type: 'not copied'; reason: string; isForGood: boolean };
