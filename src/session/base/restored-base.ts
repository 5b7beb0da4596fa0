/**
 * What a save remembers of the older entry that a tree was built on. Members of the new archive that the older
 * entry has too need not be packed, and where the store can copy them they are not sent either.
 */
import { join } from 'node:path';
import type { RestoredEntry } from '../../archive/pack/unchanged.ts';
import { CacheError } from '../../errors.ts';
import { showsChanges } from '../../files/change-times.ts';
import type { Copies, OpenEntry } from '../../store/store.ts';
import type { Placed } from '../place.ts';
import type { Session } from '../session.ts';
import { sourceOf } from '../source.ts';
import type { Subject } from '../identify.ts';

export interface RestoredBase extends RestoredEntry {
  from: Copies['from'];
}

export interface Remembering {
  session: Session;
  subject: Subject;
  signal: AbortSignal;
}

/** To be called when the older entry is in place, before anything in it changes. */
export async function rememberBase(
  { session, subject, signal }: Remembering,
  { info: from }: OpenEntry,
  { members, targets }: Placed,
): Promise<RestoredBase> {
  const { dir } = subject.project;
  if (!targets.every((target) => showsChanges(join(dir, target)))) return { from, members };
  const source = await sourceOf(session, subject, targets);
  const { lookAtRestored } = await import('../../archive/pack/unchanged.ts');
  try {
    return { from, ...(await lookAtRestored(members, { ...source, signal })) };
  } catch (error) {
    signal.throwIfAborted();
    if (!(error instanceof CacheError)) throw error;
    // The save will meet it again if it matters.
    return { from, members };
  }
}
