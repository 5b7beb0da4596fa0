import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import { CacheError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Store } from '../store/store.ts';

/** What every command works with: one run of the program. */
export interface Session {
  readonly config: Config;
  readonly emit: Emit;
  /** Aborted by SIGINT, SIGTERM and SIGHUP, with the CacheError to end with. */
  readonly signal: AbortSignal;
  /**
   * Work begins that a signal may not simply cut off: from now on signals abort it.
   * @param limitMs kills the process when the work has not ended by then, and nothing else could end it
   * @returns to be called when the work has ended
   */
  begin(limitMs?: number): () => void;
  /** The store, opened when first asked for: the SDK takes longer to load than all the rest. */
  store(): Promise<Store>;
  /** Releases what the store holds. */
  close(): void;
}

export function createSession(
  config: Config,
  { emit, signal, begin }: Pick<Session, 'emit' | 'signal' | 'begin'>,
): Session {
  let store: Promise<Store> | undefined;
  let opened: Store | undefined;
  return {
    config,
    emit,
    signal,
    begin,
    store() {
      store ??= openStore(config, emit).then((value) => (opened = value));
      return store;
    },
    close: () => opened?.close(),
  };
}

/** Why there is no cache to read from or to write to; undefined when there is one. */
export function whyOff(config: Config, use: 'read' | 'write'): string | undefined {
  if (config.store.type === 'off') return 'CACHE_S3_BUCKET is not set';
  if (use === 'read') return undefined;
  if (config.readonly) return 'CACHE_READONLY is set';
  // What it saved, it would refuse itself; and a key that is out of date must not take from others what is good for them.
  const cannotSign = config.verifyKey !== undefined && config.signingKey === undefined;
  return cannotSign ? 'CACHE_VERIFY_KEY is set without the CACHE_SIGNING_KEY for it' : undefined;
}

/** An entry's URL without opening the store, which takes time. */
export function entryUrl({ store }: Config, key: string): string {
  switch (store.type) {
    case 'off':
      return key;
    case 'local':
      return join(store.local.dir, key);
    case 's3':
    case 'tiered':
      return `s3://${store.s3.bucket}/${key}`;
  }
}

async function openStore(config: Config, emit: Emit): Promise<Store> {
  const options = { stallTimeoutMs: config.stallTimeoutMs, emit };
  const { store } = config;
  const openS3 = async (s3: (typeof store & { type: 's3' })['s3']): Promise<Store> =>
    (await import('../store/s3/s3-store.ts')).createS3Store({ ...s3, ...options });
  const openLocal = async (local: (typeof store & { type: 'local' })['local']): Promise<Store> =>
    (await import('../store/local/local-store.ts')).createDirectoryStore({ ...local, emit });
  switch (store.type) {
    case 'off':
      throw new CacheError('CONFIG_INVALID', 'No cache is configured', {
        hint: 'Set CACHE_S3_BUCKET (or CACHE_LOCAL_DIR) in the environment or in .env.claude-sandbox.',
      });
    case 's3':
      return openS3(store.s3);
    case 'local':
      return openLocal(store.local);
    case 'tiered': {
      const { createTieredStore } = await import('../store/tiered.ts');
      return createTieredStore({ local: await openLocal(store.local), remote: await openS3(store.s3), emit });
    }
  }
}

/** How long work may go on after its signal was aborted: time to abort an upload and to clear the staging area. */
const GRACE_MS = 1500;
/** What the main thread may be late by before it counts as stuck. */
const MARGIN_MS = 400;

/**
 * Runs one operation under `CACHE_TIMEOUT` and the session's signal. Settles even when the work does not: a cache must
 * never hang a build.
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
    // Whatever an abort makes the parts throw, the reason for it is what happened, unless a part says more about it.
    const { aborted, reason } = controller.signal;
    throw aborted && !(error instanceof CacheError && error.cause === reason) ? reason : error;
  } finally {
    end();
    clearTimeout(deadline);
    clearTimeout(grace);
    session.signal.removeEventListener('abort', interrupt);
  }
}
