import { CacheError } from '../errors.ts';
import { parseKey } from '../key.ts';
import { strangeName } from '../recipes/index.ts';
import type { EntryInfo, Store } from '../store/store.ts';
import { entryUrl, type Session, withDeadline } from './session.ts';

/** An entry as its key and the store describe it. */
export interface StoredEntry extends EntryInfo {
  url: string;
  recipe: string;
  /** 16 hex digits. */
  hash: string;
  /** Empty where the key has none. */
  runtime: string;
}

/**
 * Every entry under the prefix that is ours, newest first. What else lies under the prefix is not touched and not listed.
 * @param recipes names; none for all
 */
export async function storedEntries(
  session: Session,
  recipes: readonly string[] = [],
): Promise<StoredEntry[]> {
  const { prefix } = session.config;
  return withDeadline(session, `Listing ${prefix}/`, async (signal) => {
    const store = await session.store();
    const entries: StoredEntry[] = [];
    for await (const info of store.list(`${prefix}/`, { signal })) {
      const entry = described(session, store, info);
      if (entry !== undefined && (recipes.length === 0 || recipes.includes(entry.recipe)))
        entries.push(entry);
    }
    return entries.sort((a, b) => b.modified.getTime() - a.modified.getTime() || (a.key < b.key ? -1 : 1));
  });
}

/**
 * The same for names that a person typed. Recipes made of flags are known by their entries alone.
 * @param onStrange gets the CacheError for a name of which there is neither an entry nor a recipe
 */
export async function entriesNamed(
  session: Session,
  names: readonly string[],
  onStrange: (error: CacheError) => void,
): Promise<StoredEntry[]> {
  const entries = await storedEntries(session, names);
  for (const name of names) {
    if (entries.some((entry) => entry.recipe === name)) continue;
    const error = strangeName(session.config.projectDir, name);
    if (error !== undefined) onStrange(error);
  }
  return entries;
}

/**
 * One entry, looked up by its exact key.
 * @param text a key as `list` prints it, a URL of this store, or the last part of either
 */
export async function storedEntry(session: Session, text: string): Promise<StoredEntry> {
  const key = fullKey(session, text);
  return withDeadline(session, `Looking up ${key}`, async (signal) => {
    const store = await session.store();
    const info = await store.stat(key, { signal });
    const entry = info === undefined ? undefined : described(session, store, info);
    if (entry !== undefined) return entry;
    throw new CacheError('STORE_NO_ENTRY', `There is no entry ${store.url(key)}`, {
      hint: 'sandbox-cache list shows the entries there are.',
    });
  });
}

/** @throws CacheError USAGE for a text that can be no entry's key. */
export function fullKey({ config }: Session, text: string): string {
  // `s3://<bucket>/`, or the local directory: what this store's URLs begin with.
  const place = entryUrl(config, '/').replace(/\/+$/, '/');
  const path = text.startsWith(place) ? text.slice(place.length) : text;
  const key = path.startsWith(`${config.prefix}/`) ? path : `${config.prefix}/${path}`;
  if (parseKey(key, config.prefix) !== undefined) return key;
  const elsewhere = path.startsWith('s3://');
  throw new CacheError('USAGE', `${text} is not the key of an entry${elsewhere ? ` in ${place}` : ''}`, {
    hint: 'sandbox-cache list shows the keys there are.',
  });
}

function described({ config }: Session, store: Store, info: EntryInfo): StoredEntry | undefined {
  const parsed = parseKey(info.key, config.prefix);
  if (parsed === undefined) return undefined;
  const { recipe, hash, runtime = '' } = parsed;
  return { ...info, url: store.url(info.key), recipe, hash, runtime };
}

export interface PruneOptions {
  /** Delete what is older, milliseconds. */
  olderThanMs?: number;
  /** Keep this many of each recipe and runtime: the newest. */
  keep?: number;
  /** Then delete the oldest until no more than this is left, bytes. */
  maxBytes?: number;
  dryRun: boolean;
}

/** Deletes entries, oldest first. @returns what was (or, in a dry run, would be) deleted, and what is left. */
export async function prune(
  session: Session,
  recipes: readonly string[],
  options: PruneOptions,
): Promise<{ deleted: StoredEntry[]; kept: StoredEntry[] }> {
  if (session.config.readonly && !options.dryRun) {
    throw new CacheError('CONFIG_INVALID', 'CACHE_READONLY is set: nothing may be deleted', {
      hint: 'Unset it, or look with --dry-run.',
    });
  }
  // Not worth failing for: a job that clears may come before the first save of a recipe that only flags describe.
  const entries = await entriesNamed(session, recipes, ({ message, hint = '' }) =>
    session.emit({ type: 'warning', message: `${message}, nor any entry of that name`, hint }),
  );
  const doomed = new Set(chooseDoomed(entries, options, Date.now()));
  const deleted = entries.filter((entry) => doomed.has(entry)).reverse();
  if (!options.dryRun) {
    for (const entry of deleted) {
      await withDeadline(session, `Deleting ${entry.url}`, async (signal) => {
        // Only the object that was listed: one saved since under the same key is new.
        await (await session.store()).remove(entry.key, { etag: entry.etag, signal });
      });
      session.emit({ type: 'step', text: `Deleted ${entry.url}` });
    }
  }
  return { deleted, kept: entries.filter((entry) => !doomed.has(entry)) };
}

/** @param entries newest first */
export function chooseDoomed(
  entries: readonly StoredEntry[],
  options: PruneOptions,
  now: number,
): StoredEntry[] {
  const doomed: StoredEntry[] = [];
  const left: StoredEntry[] = [];
  const seen = new Map<string, number>();
  for (const entry of entries) {
    const group = `${entry.recipe} ${entry.runtime}`;
    const rank = (seen.get(group) ?? 0) + 1;
    seen.set(group, rank);
    const old = options.olderThanMs !== undefined && now - entry.modified.getTime() > options.olderThanMs;
    const surplus = options.keep !== undefined && rank > options.keep;
    // With both, `--keep` protects: the newest N stay however old they are.
    const out =
      options.keep === undefined ? old : options.olderThanMs === undefined ? surplus : surplus && old;
    (out ? doomed : left).push(entry);
  }
  if (options.maxBytes !== undefined) {
    let total = left.reduce((sum, entry) => sum + entry.size, 0);
    for (const entry of left.toReversed()) {
      if (total <= options.maxBytes) break;
      total -= entry.size;
      doomed.push(entry);
    }
  }
  return doomed;
}
