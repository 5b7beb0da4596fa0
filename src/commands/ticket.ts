import { EXTENSIONS } from '../archive/types.ts';
import type { S3Config } from '../config/s3.ts';
import { CacheError } from '../errors.ts';
import { entryKey } from '../key.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import { withDeadline } from '../session/deadline.ts';
import { identify, type Subject } from '../session/identify.ts';
import { olderEntries } from '../session/older-entries.ts';
import { bucketWithCredentials, type Session } from '../session/session.ts';
import { fullKey } from '../session/stored-entries.ts';
import type { EntryInfo } from '../store/store.ts';
import { encodeTicket, type TicketEntry } from '../ticket.ts';

export interface TicketOptions {
  /** Runtimes to make keys for. Empty: this machine's own. */
  runtimes: readonly string[];
  /** Keys to add, as `list` prints them. */
  keys: readonly string[];
  /** How long it is to work, milliseconds. */
  lifeMs: number;
  /** How many older entries to add for each recipe and runtime. */
  bases: number;
}

export interface MadeTicket {
  /** For `CACHE_TICKET`. It is a secret. */
  text: string;
  /** Milliseconds since 1970. */
  expiresMs: number;
  /** Whether the credentials are temporary and do not say when they end. */
  mayEndSooner: boolean;
  entries: readonly TicketEntry[];
}

/** Signs reads of the entries that the lockfiles name, for a machine that has no credentials. */
export async function makeTicket(
  session: Session,
  recipes: readonly Recipe[],
  options: TicketOptions,
): Promise<MadeTicket> {
  const { prefix, stallTimeoutMs } = session.config;
  const s3 = requireBucket(session);
  const named = options.keys.map((key) => fullKey(session, key));
  const subjects: Subject[] = [];
  for (const recipe of recipes) {
    const subject = await identify(session, recipe);
    if (subject !== undefined) subjects.push(...inRuntimes(subject, prefix, options.runtimes));
  }
  return withDeadline(session, 'Making the ticket', async (signal) => {
    const found: string[] = [];
    for (const subject of subjects) found.push(...(await keysOf({ session, subject, signal }, options)));
    const keys = [...new Set([...named, ...found])];
    if (keys.length === 0) throw nothingToRead(session);
    const { presign } = await import('../store/s3/presign.ts');
    const { origin, expiresMs, mayEndSooner, entries } = await presign(
      { ...s3, stallTimeoutMs, emit: session.emit },
      { keys, lifeMs: options.lifeMs, signal },
    );
    const rows = entries.map(({ key, url, found: info }) => ({ key, url, found: info && foundOf(info) }));
    const text = encodeTicket({ bucket: s3.bucket, prefix, origin, expiresMs, entries: rows });
    return { text, expiresMs, mayEndSooner, entries: rows };
  });
}

function requireBucket({ config }: Session): S3Config {
  const s3 = bucketWithCredentials(config);
  if (s3 !== undefined) return s3;
  throw new CacheError('CONFIG_INVALID', 'A ticket reads from a bucket, and CACHE_S3_BUCKET is not set', {
    hint: 'Set it in the environment or in .env.claude-sandbox.',
  });
}

function inRuntimes(subject: Subject, prefix: string, runtimes: readonly string[]): Subject[] {
  if (runtimes.length === 0) return [subject];
  const { recipe, digest, compression } = subject;
  const extension = EXTENSIONS[compression];
  return runtimes.map((runtime) => ({
    ...subject,
    runtime,
    key: entryKey({ prefix, recipe: recipe.name, digest, runtime, extension }),
  }));
}

interface Looking {
  session: Session;
  subject: Subject;
  signal: AbortSignal;
}

/** The exact key, the keys of other kinds of image for it, and the older entries that were asked for. */
async function keysOf({ session, subject, signal }: Looking, { bases }: TicketOptions): Promise<string[]> {
  const { key, compression } = subject;
  const store = await session.store();
  const stem = key.slice(0, -EXTENSIONS[compression].length);
  const keys = [key];
  try {
    for await (const info of store.list(`${stem}-`, { signal })) keys.push(info.key);
    if (bases === 0) return keys;
    const older = await olderEntries({ session, subject, store, signal });
    const others = older.map(({ info }) => info.key).filter((other) => !keys.includes(other));
    return [...keys, ...others.slice(0, bases)];
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'STORE_ACCESS_DENIED') throw error;
    const message = `Only ${key} goes into the ticket: ${error.message}`;
    session.emit({ type: 'warning', message, hint: 'Entries of other kinds of image are found by listing.' });
    return keys;
  }
}

function foundOf({ size, etag, modified }: EntryInfo): NonNullable<TicketEntry['found']> {
  return { size, etag, modifiedMs: modified?.getTime() };
}

function nothingToRead({ config }: Session): CacheError {
  return new CacheError('USAGE', `There is no lockfile in ${config.projectDir} to make a ticket for`, {
    hint: 'Run it in a checkout of the project, or name entries with --key.',
  });
}
