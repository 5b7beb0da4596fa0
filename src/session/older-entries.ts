import { CacheError } from '../errors.ts';
import { parseKey } from '../key.ts';
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

async function list({ session, subject, store, signal }: Looking): Promise<Candidate[]> {
  const { prefix } = session.config;
  const found: Candidate[] = [];
  try {
    for await (const info of store.list(`${prefix}/${subject.recipe.name}-`, { signal })) {
      const parsed = parseKey(info.key, prefix);
      if (parsed?.recipe !== subject.recipe.name || parsed.compression !== subject.compression) continue;
      if ((parsed.runtime ?? '') === subject.runtime) found.push({ info, hash: parsed.hash });
    }
  } catch (error) {
    // That listing is not allowed was reported when the exact entry was not found.
    if (!(error instanceof CacheError) || error.code !== 'STORE_ACCESS_DENIED') throw error;
    session.emit({ type: 'step', text: `No older entry is looked for: ${error.message}` });
  }
  return found;
}
