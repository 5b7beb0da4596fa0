import { CacheError } from '../errors.ts';
import { parseKey, type ParsedKey } from '../key.ts';
import { strangeName } from '../recipes/index.ts';
import type { EntryInfo, Store } from '../store/store.ts';
import { entryUrl, type Session } from './session.ts';
import { withDeadline } from './deadline.ts';

/** An entry as its key and the store describe it. */
export interface StoredEntry extends EntryInfo {
  url: string;
  recipe: string;
  /** 16 hex digits. */
  hash: string;
  /** Empty where the key has none. */
  runtime: string;
  compression: ParsedKey['compression'];
  /** Since it was saved, by the store's own clock. Undefined where the store does not date it. */
  ageMs: number | undefined;
}

/**
 * Every entry of ours under the prefix, newest first. An entry of unknown age counts as new. Other objects
 * under the prefix are neither listed nor touched.
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
    return entries.sort((a, b) => (a.ageMs ?? 0) - (b.ageMs ?? 0) || (a.key < b.key ? -1 : 1));
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
  const { recipe, hash, runtime = '', compression } = parsed;
  const ageMs = info.modified === undefined ? undefined : store.now() - info.modified.getTime();
  return { ...info, url: store.url(info.key), recipe, hash, runtime, compression, ageMs };
}
