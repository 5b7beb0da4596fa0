import { CacheError } from '../errors.ts';
import { parseKey, type ParsedKey } from '../key.ts';
import type { EntryInfo, Store } from '../store/store.ts';
import type { Subject } from './identify.ts';
import { signedSaving } from './saving-time.ts';
import type { Session } from './session.ts';
import { checker } from './signing.ts';

/** An entry of the same recipe and runtime, for another lockfile. */
export interface Older {
  info: EntryInfo;
  /** The digest that it must have been made for, or its first 16 digits. */
  digest: string;
}

/** A look at the store for entries that today's lockfile has no key of. */
export interface Looking {
  session: Session;
  subject: Subject;
  store: Store;
  signal: AbortSignal;
}

/** How many entries are asked for their time of saving at once. */
const PARALLEL = 16;

/**
 * Older entries that may be the base of an install, the newest first. With CACHE_VERIFY_KEY the signed time
 * of saving decides, and entries without one are left out.
 */
export async function olderEntries(looking: Looking): Promise<Older[]> {
  const found: Dated[] = [];
  const check = await checker(looking.session.config);
  const candidates = await list(looking);
  if (check === undefined) {
    for (const { info, hash } of candidates)
      found.push({ info, digest: hash, ms: info.modified?.getTime() ?? 0 });
  } else {
    const { subject, store, signal } = looking;
    const about = { recipe: subject.recipe.name, runtime: subject.runtime };
    const date = async ({ info, hash }: Candidate): Promise<Dated[]> => {
      const metadata = (await store.stat(info.key, { signal }))?.metadata ?? {};
      const saving = await signedSaving(metadata, { ...about, hash }, check);
      return saving === undefined ? [] : [{ info, digest: saving.digest, ms: saving.savedMs }];
    };
    for (let from = 0; from < candidates.length; from += PARALLEL) {
      const dated = await Promise.all(candidates.slice(from, from + PARALLEL).map(date));
      found.push(...dated.flat());
    }
    const unsigned = candidates.length - found.length;
    if (unsigned > 0) {
      const text = `${unsigned} of ${candidates.length} older entries have no time of saving signed for CACHE_VERIFY_KEY`;
      looking.session.emit({ type: 'step', text });
    }
  }
  return found.sort((a, b) => b.ms - a.ms);
}

interface Candidate {
  info: EntryInfo;
  hash: string;
}

interface Dated extends Older {
  ms: number;
}

/**
 * Entries of the same recipe and runtime, and in the same compression.
 * @param most how many objects are listed @default all
 */
export async function* alikeEntries(looking: Looking, most = Infinity): AsyncGenerator<Candidate> {
  const { session, subject, store, signal } = looking;
  let seen = 0;
  for await (const info of store.list(`${session.config.prefix}/${subject.recipe.name}-`, { signal })) {
    const parsed = parsedAlike(info.key, looking);
    if (parsed !== undefined) yield { info, hash: parsed.hash };
    if (++seen === most) return;
  }
}

/** @returns undefined for the key of an entry of another recipe or runtime, or in another compression */
export function parsedAlike(
  key: string,
  { session, subject }: Pick<Looking, 'session' | 'subject'>,
): ParsedKey | undefined {
  const parsed = parseKey(key, session.config.prefix);
  const isAlike =
    parsed?.recipe === subject.recipe.name &&
    parsed.compression === subject.compression &&
    (parsed.runtime ?? '') === subject.runtime;
  return isAlike ? parsed : undefined;
}

async function list(looking: Looking): Promise<Candidate[]> {
  const found: Candidate[] = [];
  try {
    for await (const one of alikeEntries(looking)) found.push(one);
  } catch (error) {
    // That listing is not allowed was reported when the exact entry was not found.
    if (!(error instanceof CacheError) || error.code !== 'STORE_ACCESS_DENIED') throw error;
    looking.session.emit({ type: 'step', text: `No older entry is looked for: ${error.message}` });
  }
  return found;
}
