/**
 * A near store in front of a far one: a directory in front of S3. The far one is the truth: it says what
 * exists, and a save is saved when it is there. The near one is a copy that may be missing, old or broken
 * without harm; its faults only warn.
 *
 * So a copy is checked while it is read: is its original still there, and still the same? The far store is
 * asked when reading begins. The copy does not end before the answer, which is usually there by then. Without
 * an answer it is used with a warning.
 */
import type { Emit } from '../events.ts';
import { checkCopy } from './copy-check.ts';
import { originMetadata, splitMetadata } from './origin.ts';
import { bytesOf, type Chunk, isHeld, readAll } from '../async/chunks.ts';
import { Relay } from '../async/relay.ts';
import type { Flight, Flights } from './local/flight.ts';
import type {
  EntryDetails,
  EntryInfo,
  OpenEntry,
  RemoveOptions,
  RemoveOutcome,
  RenewOptions,
  StatOptions,
  Store,
  StoreOptions,
  WriteOptions,
  WriteOutcome,
} from './store.ts';

export interface TieredStoreOptions {
  local: Store;
  remote: Store;
  /** Lets one of several processes that share the near store fetch an entry, while the others wait. */
  flights: Flights;
  emit: Emit;
}

export function createTieredStore(options: TieredStoreOptions): Store {
  return new TieredStore(options);
}

const RELAY_BYTES = 8 * 1024 * 1024;
/**
 * Stands for the ETag of the original if a copy does not say what it is a copy of. No object has this ETag.
 */
const UNKNOWN = '';

class TieredStore implements Store {
  readonly #local: Store;
  readonly #remote: Store;
  readonly #flights: Flights;
  readonly #emit: Emit;
  /**
   * Keys whose copies are not to be used: out of date, or damaged. The directory may not let us delete them.
   */
  readonly #dropped = new Set<string>();
  #warned = false;

  constructor({ local, remote, flights, emit }: TieredStoreOptions) {
    this.#local = local;
    this.#remote = remote;
    this.#flights = flights;
    this.#emit = emit;
  }

  url(key: string): string {
    return this.#remote.url(key);
  }

  stat(key: string, options: StatOptions): Promise<EntryDetails | undefined> {
    return this.#remote.stat(key, options);
  }

  list(prefix: string, options: StoreOptions): AsyncIterable<EntryInfo> {
    return this.#remote.list(prefix, options);
  }

  async open(key: string, options: StoreOptions): Promise<OpenEntry | undefined> {
    const copy = await this.#openCopy(key, options);
    if (copy !== undefined) return copy;
    const joined = await this.#join(key, options.signal);
    const flight = joined === 'landed' ? undefined : joined;
    let isHandedOn = false;
    try {
      // Whoever led may have made one, or been done before we looked.
      const late = joined === undefined ? undefined : await this.#openCopy(key, options);
      if (late !== undefined) return late;
      const entry = await this.#remote.open(key, options);
      isHandedOn = entry !== undefined;
      return entry && { ...entry, body: this.#copying(entry, { ...options, flight }) };
    } finally {
      if (!isHandedOn) await flight?.land();
    }
  }

  async #openCopy(key: string, options: StoreOptions): Promise<OpenEntry | undefined> {
    if (this.#dropped.has(key)) return undefined;
    const copy = await this.#locally(() => this.#local.open(key, options), options.signal);
    return copy && this.#checked(copy, options);
  }

  /** @returns undefined where there is no use in waiting, or nobody can lead */
  async #join(key: string, signal: AbortSignal): Promise<Flight | 'landed' | undefined> {
    if (this.#dropped.has(key)) return undefined;
    const onWait = (): void =>
      this.#emit({ type: 'step', text: 'Another process is downloading it: waiting for its copy' });
    try {
      return await this.#flights.join(key, { signal, onWait });
    } catch {
      // What is wrong with the directory is told when the copy is written.
      signal.throwIfAborted();
      return undefined;
    }
  }

  async write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome> {
    const metadata: Record<string, string> = { ...options.metadata };
    const { copies } = options;
    const copy = this.#startCopy(key, { ...options, metadata, ifExists: 'replace' });
    try {
      const chunks = passing(copies?.chunks ?? body, copy.relay);
      const outcome = await this.#remote.write(key, bytesOf(chunks), {
        ...options,
        copies: copies && { ...copies, chunks },
      });
      if (outcome.type === 'saved') {
        // This comes in time: a directory writes an entry's metadata when it has the whole entry.
        Object.assign(metadata, originMetadata(outcome));
        copy.relay.end();
      }
      return outcome;
    } finally {
      copy.relay.fail(new Dropped());
      await copy.done;
    }
  }

  async remove(key: string, options: RemoveOptions): Promise<RemoveOutcome> {
    // Even if the original is not deleted: a copy can be made again.
    await this.#locally(() => this.#local.remove(key, { signal: options.signal }), options.signal);
    return this.#remote.remove(key, options);
  }

  async renew(entry: EntryInfo, options: RenewOptions): Promise<boolean> {
    return (await this.#remote.renew?.(entry, options)) ?? false;
  }

  now(): number {
    return this.#remote.now();
  }

  close(): void {
    this.#local.close();
    this.#remote.close();
  }

  /** A copy that is compared with its original while it is read. Its `info` is that of the original. */
  #checked(copy: OpenEntry, { signal }: StoreOptions): OpenEntry {
    const { key, size } = copy.info;
    const path = this.#local.url(key);
    this.#emit({ type: 'step', text: `Found a copy: ${path}` });
    const { origin, metadata } = splitMetadata(copy.metadata);
    const info = { ...copy.info, etag: origin.etag ?? UNKNOWN, writeId: origin.writeId };
    const drop = async (): Promise<void> => {
      this.#dropped.add(key);
      const { etag } = copy.info;
      await this.#locally(() => this.#local.remove(key, { signal, etag }), signal);
    };
    const body = checkCopy(copy.body, {
      origin: { ...origin, size },
      original: { url: this.#remote.url(key), stat: (options) => this.#remote.stat(key, options) },
      signal,
      onSame: ({ etag, modified, expires }) => Object.assign(info, { etag, modified, expires }),
      onStale: drop,
      onUnknown: (reason) => this.#warnUnchecked(path, reason),
    });
    return { ...copy, info, metadata, body, dropCopy: drop };
  }

  /** Warns once a run: the next recipe's copy would say the same. */
  #warnUnchecked(path: string, reason: string): void {
    if (this.#warned) return;
    this.#warned = true;
    this.#emit({
      type: 'warning',
      message: `The copy ${path} was used unchecked: ${reason}`,
      hint: 'It may be out of date. Without CACHE_LOCAL_DIR there are no copies.',
    });
  }

  /** Hands the entry on, and keeps a copy if all of it was read. */
  #copying(entry: OpenEntry, options: CopyOptions): AsyncIterable<Uint8Array> {
    const source = entry.body[Symbol.asyncIterator]();
    const chunks = this.#copy(entry, { [Symbol.asyncIterator]: () => source }, options);
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => chunks.next(),
        // A generator that was never started would not close its source.
        return: async () => {
          await source.return?.();
          await options.flight?.land();
          return chunks.return(undefined);
        },
      }),
    };
  }

  async *#copy(
    entry: OpenEntry,
    body: AsyncIterable<Uint8Array>,
    { signal, flight }: CopyOptions,
  ): AsyncGenerator<Uint8Array, undefined> {
    const metadata = { ...entry.metadata, ...originMetadata(entry.info) };
    const copy = this.#startCopy(entry.info.key, { signal, metadata, ifExists: 'replace' });
    try {
      for await (const chunk of body) {
        flight?.beat();
        await copy.relay.push(chunk);
        yield chunk;
      }
      copy.relay.end();
    } finally {
      copy.relay.fail(new Dropped());
      try {
        await copy.done;
      } finally {
        await flight?.land();
      }
    }
  }

  /**
   * A write to the near store that is fed through the relay. `done` rejects only when the signal is aborted.
   */
  #startCopy(key: string, options: WriteOptions): { relay: Relay; done: Promise<unknown> } {
    const relay = new Relay(RELAY_BYTES);
    const done = this.#locally(() => this.#local.write(key, relay, options), options.signal);
    const close = (): void => relay.close();
    done.then(close, close);
    return { relay, done };
  }

  /** Runs something on the near store. An error there is only worth a warning. */
  async #locally<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof Dropped) return undefined;
      signal.throwIfAborted();
      const message = `No local copy: ${error instanceof Error ? error.message : String(error)}`;
      this.#emit({ type: 'warning', message, hint: 'Check CACHE_LOCAL_DIR; the cache works without it.' });
      return undefined;
    }
  }
}

interface CopyOptions extends StoreOptions {
  /** Others wait for this copy. */
  flight: Flight | undefined;
}

/** Ends a copy that is not wanted any more. */
class Dropped extends Error {}

/** The near store needs all of the bytes, also those that the far one copies. */
async function* passing(chunks: AsyncIterable<Chunk>, relay: Relay): AsyncGenerator<Chunk> {
  for await (const { chunk, bytes } of readAll(chunks)) {
    await relay.push(bytes);
    yield isHeld(chunk) ? { ...chunk, read: () => Promise.resolve(bytes) } : bytes;
  }
}
