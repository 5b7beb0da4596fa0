/**
 * Whoever uses an entry keeps it: one that has grown old is written anew in its store, or a lifecycle rule
 * would delete what is used every day. This goes on beside the rest, and ends with it.
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
  /** Resolves when it is done, at the latest after `ms`. What is not done then is given up. */
  end(ms: number): Promise<void>;
}

/** Begins to renew an entry if it is old and this run may write. Nothing of it ever fails the run. */
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

/** For a run that finds that there is nothing to save. */
export async function renewInUse(renewing: Renewing, entry: EntryInfo | undefined): Promise<void> {
  if (entry !== undefined) await beginRenewing(renewing, entry)?.end(JOB_MS);
}

/**
 * How long a restore may wait for it at its end: a second, or a fifth of what it took. A larger entry takes
 * longer to copy, and took longer to restore.
 */
export function patienceAfter(tookMs: number): number {
  return Math.min(5000, Math.max(1000, tookMs / 5));
}
