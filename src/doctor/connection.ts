/** Whether the store answers at all. Asks for one object that does not exist, and writes nothing. */
import { CacheError } from '../errors.ts';
import { withDeadline } from '../session/deadline.ts';
import { failed } from './failed.ts';
import type { Finding } from './finding.ts';
import type { Patient } from './patient.ts';
import { mendFor } from './store/mends.ts';

export async function checkConnection({ session }: Patient): Promise<Finding[]> {
  if (session === undefined || session.config.store.type === 'off') return [];
  const { prefix, store: place } = session.config;
  try {
    const url = await withDeadline(session, 'Asking the store', async (signal) => {
      const store = await session.store();
      await store.stat(`${prefix}/.doctor`, { signal });
      return store.url(prefix);
    });
    return [{ id: 'store-answers', section: 'connection', mark: 'ok', fact: `${url} answers` }];
  } catch (error) {
    if (!(error instanceof CacheError) || session.signal.aborted) throw error;
    const mend = 's3' in place && place.s3.ticket === undefined ? mendFor(error, place.s3, 0) : undefined;
    return [{ ...failed('connection', error), ...(mend === undefined ? {} : { mend }) }];
  }
}
