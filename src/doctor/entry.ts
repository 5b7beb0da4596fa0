import { withDeadline } from '../session/deadline.ts';
import { findFitting, type Found } from '../session/fit.ts';
import type { Subject } from '../session/identify.ts';
import type { Session } from '../session/session.ts';
import type { EntryDetails } from '../store/store.ts';

/** The entry that a restore would take. @throws CacheError */
export function lookForEntry(session: Session, subject: Subject): Promise<Found<EntryDetails>> {
  return withDeadline(session, `Looking for ${subject.key}`, async (signal) => {
    const store = await session.store();
    return findFitting(session, subject, { look: (at) => store.stat(at, { signal }) });
  });
}
