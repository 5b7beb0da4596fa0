/**
 * Entries that a ticket allows to read: a store without credentials, which never writes. A ticket that is
 * over, or that does not hold an entry, makes it a miss with a warning, not a failure.
 */
import { CacheError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import type { EntryInfo, OpenEntry, Store, StoreOptions } from '../store.ts';

export interface TicketStoreOptions {
  /** S3, reached with the ticket's URLs. */
  s3: Store;
  expiresMs: number;
  /** Every key that it holds, with what was there when it was made. */
  entries: ReadonlyMap<string, EntryInfo | undefined>;
  emit: Emit;
  /** Called with a key that somebody wants to read and that it does not hold. */
  onUnknownKey: (key: string) => void;
}

/** What the service says to a URL that is over, or whose credentials have been taken back. */
const REFUSALS = ['STORE_ACCESS_DENIED', 'STORE_BAD_CREDENTIALS'];

export function createTicketStore({ s3, expiresMs, entries, emit, onUnknownKey }: TicketStoreOptions): Store {
  const refused = (error: unknown): CacheError | undefined => {
    if (!(error instanceof CacheError) || !REFUSALS.includes(error.code)) return undefined;
    const over = s3.now() >= expiresMs;
    const message = over
      ? `CACHE_TICKET has expired: it was good until ${new Date(expiresMs).toISOString()}`
      : `CACHE_TICKET is not accepted: ${error.message}`;
    return new CacheError('STORE_ACCESS_DENIED', message, {
      hint: 'Make another one with: sandbox-cache ticket',
      cause: error,
    });
  };
  const onlyReads = async (): Promise<never> => {
    throw new CacheError('CONFIG_INVALID', 'CACHE_TICKET only reads', { hint: 'Unset it to write.' });
  };

  return {
    url: (key) => s3.url(key),

    async stat(key, options) {
      // An answer of "absent" would be wrong, and a near store would throw its copy away.
      if (!entries.has(key))
        throw new CacheError('STORE_ACCESS_DENIED', `CACHE_TICKET does not hold ${key}`, {
          hint: 'Make one that does with: sandbox-cache ticket',
        });
      try {
        return await s3.stat(key, options);
      } catch (error) {
        throw refused(error) ?? error;
      }
    },

    async open(key: string, options: StoreOptions): Promise<OpenEntry | undefined> {
      if (!entries.has(key)) {
        onUnknownKey(key);
        return undefined;
      }
      try {
        return await s3.open(key, options);
      } catch (error) {
        const refusal = refused(error);
        if (refusal === undefined) throw error;
        const { message, hint } = refusal;
        emit({ type: 'warning', message, ...(hint === undefined ? {} : { hint }) });
        return undefined;
      }
    },

    async *list(prefix) {
      for (const [key, found] of entries) if (found !== undefined && key.startsWith(prefix)) yield found;
    },

    write: onlyReads,
    remove: onlyReads,
    now: () => s3.now(),
    close: () => s3.close(),
  };
}
