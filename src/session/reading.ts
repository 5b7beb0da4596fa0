import type { UnpackOptions } from '../archive/types.ts';
import { CacheError, type ErrorCode } from '../errors.ts';
import type { OpenEntry, Store } from '../store/store.ts';
import type { Session } from './session.ts';
import { checker } from './signing.ts';

/** Errors of the entry itself, not of this machine or the network. The next save replaces such an entry. */
const ENTRY_FAULTS: readonly ErrorCode[] = [
  'ARCHIVE_CORRUPT',
  'ARCHIVE_TRUNCATED',
  'ARCHIVE_REFUSED',
  'ARCHIVE_MISMATCH',
  'ARCHIVE_UNTRUSTED',
];

export function isEntryError(error: unknown): error is CacheError {
  return error instanceof CacheError && ENTRY_FAULTS.includes(error.code);
}

export interface Reading {
  session: Session;
  store: Store;
  signal: AbortSignal;
}

/**
 * Runs `read` on an entry. Runs it once more, on what the store has by then, if the entry was replaced
 * half-way or was a local copy that is stale or damaged.
 * @returns `deleted` if the store has nothing under the key any more
 */
export async function readEntry<T>(
  { session, store, signal }: Reading,
  entry: OpenEntry,
  read: (entry: OpenEntry) => Promise<T>,
): Promise<T | 'deleted'> {
  const url = store.url(entry.info.key);
  const named = async (one: OpenEntry): Promise<T> => {
    try {
      return await read(one);
    } catch (error) {
      throw withKey(error, one.info.key);
    }
  };
  try {
    return await named(entry);
  } catch (error) {
    if (error instanceof CacheError && error.code === 'STORE_REPLACED') {
      const why = entry.dropCopy === undefined ? `${url} was replaced while being read` : error.message;
      session.emit({ type: 'step', text: `${why}: starting again` });
    } else if (entry.dropCopy !== undefined && isEntryError(error)) {
      await entry.dropCopy();
      const message = `The local copy of ${url} is not used: ${error.message}`;
      session.emit({ type: 'warning', message, hint: 'Its original is read in its place.' });
    } else {
      throw error;
    }
  }
  const fresh = await store.open(entry.info.key, { signal });
  return fresh === undefined ? 'deleted' : named(fresh);
}

/** Ends the connections of an entry that nobody will read. */
export async function leaveUnread({ body }: OpenEntry): Promise<void> {
  await body[Symbol.asyncIterator]().return?.();
}

/**
 * What every archive is checked against, whichever command reads it.
 * @throws CacheError CONFIG_INVALID if CACHE_VERIFY_KEY is not a key
 */
export async function archiveChecks(
  { config }: Session,
  { metadata }: OpenEntry,
): Promise<Pick<UnpackOptions, 'limits' | 'mustBeOurs' | 'checkSignature'>> {
  const checkSignature = await checker(config);
  return {
    limits: config.limits,
    mustBeOurs: metadata['sandbox-cache-format'] !== undefined,
    ...(checkSignature === undefined ? {} : { checkSignature }),
  };
}

/** Names the archive in an error of that archive, because a run may read several. */
function withKey(error: unknown, key: string): unknown {
  if (!(error instanceof CacheError) || !error.code.startsWith('ARCHIVE_')) return error;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return new CacheError(error.code, `${error.message} (${key})`, { ...hint, cause: error });
}
