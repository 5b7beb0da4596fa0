/**
 * A near store in front of a far one: a directory in front of S3. The far one is the truth: it says what exists, and a save
 * is saved when it is there. The near one is a copy that may be missing, old or broken without harm; its faults only warn.
 *
 * ETags of entries read from the copy name both: `near:<copy's>` or `near:<copy's>:<original's>`. So whoever found such an
 * entry bad replaces or removes the copy and, where it is known to be the same, the original.
 */
import type { Emit } from '../events.ts';
import { Relay } from './relay.ts';
import type {
  EntryDetails,
  EntryInfo,
  OpenEntry,
  RemoveOutcome,
  Store,
  StoreOptions,
  WriteOptions,
  WriteOutcome,
} from './store.ts';

export interface TieredStoreOptions {
  local: Store;
  remote: Store;
  emit: Emit;
}

export function createTieredStore(options: TieredStoreOptions): Store {
  return new TieredStore(options);
}

/** Metadata of a copy: the ETag of what it is a copy of. */
const ORIGIN = 'origin-etag';
const RELAY_BYTES = 8 * 1024 * 1024;

class TieredStore implements Store {
  readonly kind;
  readonly #local: Store;
  readonly #remote: Store;
  readonly #emit: Emit;

  constructor({ local, remote, emit }: TieredStoreOptions) {
    this.#local = local;
    this.#remote = remote;
    this.#emit = emit;
    this.kind = remote.kind;
  }

  url(key: string): string {
    return this.#remote.url(key);
  }

  stat(key: string, options: StoreOptions): Promise<EntryDetails | undefined> {
    return this.#remote.stat(key, options);
  }

  list(prefix: string, options: StoreOptions): AsyncIterable<EntryInfo> {
    return this.#remote.list(prefix, options);
  }

  async open(key: string, options: StoreOptions): Promise<OpenEntry | undefined> {
    const copy = await this.#locally(() => this.#local.open(key, options), options.signal);
    if (copy !== undefined) {
      const { [ORIGIN]: origin, ...metadata } = copy.metadata;
      const etag = ['near', copy.info.etag, ...(origin === undefined ? [] : [origin])].join(':');
      this.#emit({ type: 'step', text: `Found a copy: ${this.#local.url(key)}` });
      return { info: { ...copy.info, etag }, from: copy.from, metadata, body: copy.body };
    }
    const entry = await this.#remote.open(key, options);
    return entry && { ...entry, body: this.#copying(entry, options) };
  }

  async write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome> {
    const metadata: Record<string, string> = { ...options.metadata };
    const copy = this.#startCopy(key, { ...options, metadata, ifExists: 'replace' });
    try {
      const far = farCondition(options.ifExists);
      const outcome = await this.#remote.write(key, passing(body, copy.relay), { ...options, ifExists: far });
      if (outcome.type === 'saved') {
        // In time: a directory writes down what travels with an entry when it has all of the entry.
        metadata[ORIGIN] = outcome.etag;
        copy.relay.end();
      }
      return outcome;
    } finally {
      copy.relay.fail(new Dropped());
      await copy.done;
    }
  }

  async remove(key: string, { signal, etag }: StoreOptions & { etag?: string }): Promise<RemoveOutcome> {
    const { near, far } = etag === undefined ? {} : parseEtag(etag);
    const copy = await this.#locally(
      () => this.#local.remove(key, { signal, ...(near === undefined ? {} : { etag: near }) }),
      signal,
    );
    // A bad copy of something unknown says nothing about the original.
    if (near !== undefined && far === undefined) return copy ?? 'another';
    return this.#remote.remove(key, { signal, ...(far === undefined ? {} : { etag: far }) });
  }

  now(): number {
    return this.#remote.now();
  }

  close(): void {
    this.#local.close();
    this.#remote.close();
  }

  /** Hands the entry on, and keeps a copy when all of it was taken. */
  #copying(entry: OpenEntry, options: StoreOptions): AsyncIterable<Uint8Array> {
    const source = entry.body[Symbol.asyncIterator]();
    const chunks = this.#copy(entry, { [Symbol.asyncIterator]: () => source }, options);
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => chunks.next(),
        // A generator that has not begun would not tell its source.
        return: async () => {
          await source.return?.();
          return chunks.return(undefined);
        },
      }),
    };
  }

  async *#copy(
    entry: OpenEntry,
    body: AsyncIterable<Uint8Array>,
    { signal }: StoreOptions,
  ): AsyncGenerator<Uint8Array, undefined> {
    const metadata = { ...entry.metadata, [ORIGIN]: entry.info.etag };
    const copy = this.#startCopy(entry.info.key, { signal, metadata, ifExists: 'replace' });
    try {
      for await (const chunk of body) {
        await copy.relay.push(chunk);
        yield chunk;
      }
      copy.relay.end();
    } finally {
      copy.relay.fail(new Dropped());
      await copy.done;
    }
  }

  /** A write to the near store that is fed through the relay. `done` rejects only when the signal is aborted. */
  #startCopy(key: string, options: WriteOptions): { relay: Relay; done: Promise<unknown> } {
    const relay = new Relay(RELAY_BYTES);
    const done = this.#locally(() => this.#local.write(key, relay, options), options.signal);
    const close = (): void => relay.close();
    done.then(close, close);
    return { relay, done };
  }

  /** Runs something on the near store; what fails there is worth a warning, no more. */
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

/** The copy is not wanted any more. */
class Dropped extends Error {}

async function* passing(body: AsyncIterable<Uint8Array>, relay: Relay): AsyncGenerator<Uint8Array> {
  for await (const chunk of body) {
    await relay.push(chunk);
    yield chunk;
  }
}

function farCondition(ifExists: WriteOptions['ifExists']): WriteOptions['ifExists'] {
  if (typeof ifExists === 'string') return ifExists;
  const { far } = parseEtag(ifExists.etag);
  return far === undefined ? 'keep' : { etag: far };
}

/** `near:<copy's>:<original's>`, `near:<copy's>`, or the original's alone. */
function parseEtag(etag: string): { near?: string; far?: string } {
  const [kind, near, far] = etag.split(':');
  if (kind !== 'near' || near === undefined) return { far: etag };
  return far === undefined ? { near } : { near, far };
}
