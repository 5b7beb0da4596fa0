import { CacheError } from '../errors.ts';
import type { RemoveOutcome } from '../store/store.ts';
import { entriesNamed, type StoredEntry } from '../session/stored-entries.ts';
import type { Session } from '../session/session.ts';
import { withDeadline } from '../session/deadline.ts';

export interface PruneOptions {
  /** Delete what is older, milliseconds. */
  olderThanMs?: number;
  /** Keep this many of each recipe, runtime and compression: the newest. */
  keep?: number;
  /** Then delete the oldest until no more than this is left, bytes. */
  maxBytes?: number;
  dryRun: boolean;
  /**
   * Asked before anything is deleted, when nothing would be left of what was looked at.
   * @param what e.g. `every entry (3)`
   */
  mayDeleteAll: (what: string) => Promise<boolean>;
}

export interface Pruned {
  /** What was deleted, or in a dry run would be; the oldest first. */
  deleted: StoredEntry[];
  kept: StoredEntry[];
}

/** Deletes entries, oldest first, and none that has been replaced since it was listed. */
export async function prune(
  session: Session,
  recipes: readonly string[],
  options: PruneOptions,
): Promise<Pruned> {
  if (session.config.readonly && !options.dryRun) {
    throw new CacheError('CONFIG_INVALID', 'CACHE_READONLY is set: nothing may be deleted', {
      hint: 'Unset it, or look with --dry-run.',
    });
  }
  // Only a warning: a cleaning job may run before the first save of a recipe that only flags describe.
  const entries = await entriesNamed(session, recipes, ({ message, hint = '' }) =>
    session.emit({ type: 'warning', message: `${message}, nor any entry of that name`, hint }),
  );
  const doomed = new Set(chooseDoomed(entries, options));
  const kept = entries.filter((entry) => !doomed.has(entry));
  const going = entries.filter((entry) => doomed.has(entry)).reverse();
  if (options.dryRun) return { deleted: going, kept };
  if (going.length > 0 && kept.length === 0) {
    const what = `every entry${recipes.length === 0 ? '' : ` of ${recipes.join(', ')}`} (${going.length})`;
    if (!(await options.mayDeleteAll(what))) return { deleted: [], kept: entries };
  }
  const deleted: StoredEntry[] = [];
  for (const entry of going) {
    const outcome = await deleteListed(session, entry);
    if (outcome === 'removed') deleted.push(entry);
    if (outcome === 'another') kept.push(entry);
  }
  return { deleted, kept };
}

async function deleteListed(session: Session, { key, url, etag }: StoredEntry): Promise<RemoveOutcome> {
  const outcome = await withDeadline(session, `Deleting ${url}`, async (signal) =>
    (await session.store()).remove(key, { etag, signal }),
  );
  switch (outcome) {
    case 'removed':
      session.emit({ type: 'step', text: `Deleted ${url}` });
      break;
    case 'absent':
      session.emit({ type: 'step', text: `Gone already: ${url}` });
      break;
    case 'another':
      session.emit({
        type: 'warning',
        message: `${url} was not deleted: it has been replaced since it was listed`,
      });
  }
  return outcome;
}

/** @param entries newest first */
export function chooseDoomed(
  entries: readonly StoredEntry[],
  options: Pick<PruneOptions, 'olderThanMs' | 'keep' | 'maxBytes'>,
): StoredEntry[] {
  const doomed: StoredEntry[] = [];
  const left: StoredEntry[] = [];
  const seen = new Map<string, number>();
  for (const entry of entries) {
    const group = `${entry.recipe} ${entry.runtime} ${entry.compression}`;
    const rank = (seen.get(group) ?? 0) + 1;
    seen.set(group, rank);
    // An entry of unknown age is not old.
    const old = options.olderThanMs !== undefined && (entry.ageMs ?? 0) > options.olderThanMs;
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
