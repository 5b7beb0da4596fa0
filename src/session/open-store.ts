/** Opens the store that is configured. */
import type { Config } from '../config/config.ts';
import type { S3Config } from '../config/s3.ts';
import type { Emit } from '../events.ts';
import type { Store } from '../store/store.ts';
import { CacheError } from '../errors.ts';

export async function openStore(config: Config, emit: Emit): Promise<Store> {
  const options = { stallTimeoutMs: config.stallTimeoutMs, emit };
  const { store } = config;
  const openS3 = async (s3: S3Config): Promise<Store> => {
    const { createS3Store } = await import('../store/s3/s3-store.ts');
    if (s3.ticket === undefined) return createS3Store({ ...s3, ...options });
    const { openTicket } = await import('./open-ticket.ts');
    return openTicket(s3.ticket, emit, (presigned) => createS3Store({ ...s3, ...options, presigned }));
  };
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
      const { createFlights } = await import('../store/local/flight.ts');
      return createTieredStore({
        local: await openLocal(store.local),
        remote: await openS3(store.s3),
        flights: createFlights(store.local.dir),
        emit,
      });
    }
  }
}
