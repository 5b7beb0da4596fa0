/** Ends work that takes too long. */
import { CacheError } from '../errors.ts';
import type { Session } from './session.ts';

/**
 * How long work may go on after its signal was aborted: time to abort an upload and to clear the staging
 * area.
 */
const GRACE_MS = 1500;

/** What the main thread may be late by before it counts as stuck. */
const MARGIN_MS = 400;

/**
 * Runs one operation under `CACHE_TIMEOUT` and the session's signal. Settles even if the work never does,
 * because a cache must never hang a build.
 * @throws CacheError TIMEOUT or INTERRUPTED, or whatever the work throws.
 */
export async function withDeadline<T>(
  session: Session,
  what: string,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const { timeoutMs } = session.config;
  const end = session.begin(timeoutMs + GRACE_MS + MARGIN_MS);
  const controller = new AbortController();
  const interrupt = (): void => controller.abort(session.signal.reason);
  if (session.signal.aborted) interrupt();
  session.signal.addEventListener('abort', interrupt, { once: true });
  const deadline = setTimeout(() => {
    const hint =
      'Raise CACHE_TIMEOUT (seconds) if the network is slow, or see sandbox-cache list for the size of the entry.';
    controller.abort(
      new CacheError('TIMEOUT', `${what} took longer than ${timeoutMs / 1000} s (CACHE_TIMEOUT)`, { hint }),
    );
  }, timeoutMs);
  let grace: NodeJS.Timeout | undefined;
  const overdue = new Promise<never>((_, reject) => {
    controller.signal.addEventListener('abort', () => {
      grace = setTimeout(() => reject(controller.signal.reason as Error), GRACE_MS);
    });
    if (controller.signal.aborted)
      grace = setTimeout(() => reject(controller.signal.reason as Error), GRACE_MS);
  });
  try {
    return await Promise.race([work(controller.signal), overdue]);
  } catch (error) {
    // An abort makes the parts throw all kinds of errors. Its reason is the one to tell, unless a part says
    // more about it.
    const { aborted, reason } = controller.signal;
    throw aborted && !(error instanceof CacheError && error.cause === reason) ? reason : error;
  } finally {
    end();
    clearTimeout(deadline);
    clearTimeout(grace);
    session.signal.removeEventListener('abort', interrupt);
  }
}
