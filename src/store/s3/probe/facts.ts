/**
 * What a probe finds out about one bucket. Facts only: what they mean for the cache, and what mends them, is
 * for `doctor` to say.
 */
import type { CacheError } from '../../../errors.ts';

/** What became of one question. */
export type Answer<T> =
  | { type: 'known'; value: T }
  /** These credentials may not do it. */
  | { type: 'denied'; error: CacheError }
  /** The service cannot do it, or failed at it. */
  | { type: 'failed'; error: CacheError }
  /** Nobody asked, and why. */
  | { type: 'untried'; why: string };

export type Right = 'list' | 'get' | 'put' | 'delete' | 'multipart' | 'abort';

/**
 * - `honoured`: a second writer is refused
 * - `ignored`: a second writer overwrites what is there
 * - `refused`: the service accepts no request with this condition
 */
export type Conditions = 'honoured' | 'ignored' | 'refused';

export interface LifecycleFacts {
  /** Days after which entries under the prefix are deleted; undefined: never. */
  expiresAfterDays: number | undefined;
  /** Days after which abandoned uploads are removed; undefined: never. */
  abortsUploadsAfterDays: number | undefined;
  /** Storage classes that entries under the prefix are moved to. */
  movesTo: string[];
}

/** Bytes a second, of one connection and of four. */
export interface Throughput {
  one: number;
  four: number;
}

export interface StoreFacts {
  bucket: string;
  prefix: string;
  /** The endpoint, as a URL. */
  place: string;
  /** Whether this is a service other than AWS. */
  custom: boolean;
  /** Where the bucket is, as far as is known. */
  region: string;
  /** The region that was configured, where the bucket turned out to be in another. */
  askedRegion: string | undefined;
  /** Why the bucket cannot be used at all; then nothing else was looked at. */
  unusable: CacheError | undefined;
  /** How far the service's clock is ahead of this machine's, milliseconds; it tells whole seconds. */
  clockAheadMs: number;
  rights: Record<Right, Answer<true>>;
  putIfAbsent: Answer<Conditions>;
  completeIfAbsent: Answer<Conditions>;
  /** How many of eight writers that ask for an absent key at the same moment were told that they won. */
  raceWinners: Answer<number>;
  /** Whether a part of an object can be read by itself. */
  ranges: Answer<boolean>;
  /** Whether UploadPartCopy copies what it is asked for. */
  partCopy: Answer<boolean>;
  publicAccess: Answer<'blocked' | 'partly blocked' | 'not blocked'>;
  /** The bucket's default: `AES256`, `aws:kms`; undefined: none. */
  encryption: Answer<string | undefined>;
  versioning: Answer<'Enabled' | 'Suspended' | undefined>;
  objectLock: Answer<boolean>;
  lifecycle: Answer<LifecycleFacts>;
  /** Kinds of receivers that are told of every new object: `queue`, `function`, … */
  notifications: Answer<string[]>;
  /** Of entries under the prefix that are there: `STANDARD`, `STANDARD_IA`. */
  storageClasses: string[];
  /** Milliseconds of one small request, the median. */
  latencyMs: Answer<number>;
  download: Answer<Throughput>;
  upload: Answer<Throughput>;
  /** What could not be removed again, as URLs. */
  left: string[];
}

export function known<T>(value: T): Answer<T> {
  return { type: 'known', value };
}

export function untried<T>(why: string): Answer<T> {
  return { type: 'untried', why };
}

/** Whether the answer is known to be exactly that. */
export function isKnown<T>(answer: Answer<T>, value: T): boolean {
  return answer.type === 'known' && answer.value === value;
}
