/**
 * Renews entries that are used. An old one is written again in its store; otherwise a lifecycle rule would
 * delete an entry that is used every day. This happens beside the other work.
 */
import { linkAbort, withinTime } from '../async/abort.ts';
import type { EntryInfo, Store } from '../store/store.ts';
import type { Subject } from './identify.ts';
import { type Session, whyOff } from './session.ts';

export interface Renewing {
  session: Session;
  subject: Pick<Subject, 'recipe' | 'project'>;
  store: Store;
  signal: AbortSignal;
}

export interface Renewal {
  /** Resolves when it is done, or after `ms` at the latest; then it is given up. */
  end(ms: number): Promise<void>;
}

/** Begins to renew an entry if it is old and this run may write. An error in it never fails the run. */
export function beginRenewing(renewing: Renewing, entry: EntryInfo): Renewal | undefined {
  const { session, subject, store, signal } = renewing;
  if (store.renew === undefined || whyOff(session.config, 'write') !== undefined) return undefined;
  const link = linkAbort(signal);
  const mayTry = async (): Promise<boolean> => {
    const { mayRenew } = await import('../workspace/notes/renewal.ts');
    return mayRenew(subject.project.dir, subject.recipe.name, entry.key);
  };
  const done = store.renew(entry, { signal: link.signal, mayTry }).then(
    (renewed) => {
      if (renewed)
        session.emit({ type: 'step', text: `Renewed, because it is in use: ${store.url(entry.key)}` });
      return true;
    },
    () => true,
  );
  return {
    async end(ms) {
      await withinTime(done, ms);
      link.abort(new Error('the run has ended'));
      link.unlink();
    },
  };
}

/** Limit for jobs that nobody waits for, milliseconds. */
const JOB_MS = 10_000;

/** For a run that finds the entry there already. */
export async function renewInUse(renewing: Renewing, entry: EntryInfo | undefined): Promise<void> {
  if (entry !== undefined) await beginRenewing(renewing, entry)?.end(JOB_MS);
}

/**
 * How long a restore may wait for it at its end: a second, or a fifth of the restore's time, 5 s at most. A
 * larger entry takes longer to copy, and took longer to restore.
 */
export function patienceAfter(tookMs: number): number {
  return Math.min(5000, Math.max(1000, tookMs / 5));
}
