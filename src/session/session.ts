import { join } from 'node:path';
import type { Config } from '../config/config.ts';
import type { S3Config } from '../config/s3.ts';
import { CacheError } from '../errors.ts';
import type { Emit } from '../events.ts';
import type { Store } from '../store/store.ts';
import { openStore } from './open-store.ts';

/** What every command works with: one run of the program. */
export interface Session {
  readonly config: Config;
  readonly emit: Emit;
  /** Aborted by SIGINT, SIGTERM and SIGHUP, with the CacheError to end with. */
  readonly signal: AbortSignal;
  /**
   * To be called when work begins that needs cleaning up. From now on a signal aborts it instead of ending
   * the process.
   * @param limitMs the process is killed after this time if nothing else could end the work
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
  if ('s3' in config.store && config.store.s3.ticket !== undefined) return 'CACHE_TICKET only reads';
  // This machine would refuse what it saved itself. And a stale key must not replace entries that are good
  // for others.
  const cannotSign = config.verifyKey !== undefined && config.signingKey === undefined;
  return cannotSign ? 'CACHE_VERIFY_KEY is set without the CACHE_SIGNING_KEY for it' : undefined;
}

/**
 * The bucket, for work that takes credentials. Under a ticket there is none: its address may come from the
 * checkout, and must not get what this machine's credentials sign.
 * @returns undefined where no bucket is set
 * @throws CacheError CONFIG_INVALID under a ticket
 */
export function bucketWithCredentials({ store }: Config): S3Config | undefined {
  if (!('s3' in store)) return undefined;
  if (store.s3.ticket === undefined) return store.s3;
  throw new CacheError('CONFIG_INVALID', 'CACHE_TICKET is set, and a ticket only reads its entries', {
    hint: 'Unset it, and run this where there are credentials for the bucket.',
  });
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
