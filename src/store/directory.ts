/**
 * Entries as files of one directory, which several containers may share (a volume, a hostPath).
 *
 * `<dir>/<key>` is the entry as it is: `tar -xzf` opens it. It is there whole or not at all, and of many writers one wins
 * (`local/publish.ts`). What travels with it lies beside it, written first and found by the identity of the file, so that the
 * two always belong together. The time of last use is that of the file beside: the entry's own are part of its identity.
 */
import { open, readFile, rm, stat, utimes, writeFile, type FileHandle } from 'node:fs/promises';
import { CacheError, systemCode } from '../errors.ts';
import type { Emit } from '../events.ts';
import { raceAbort } from './abort.ts';
import { describeFileFailure, type FileWork } from './local/errors.ts';
import { makeFolder } from './local/folder.ts';
import {
  entryPath,
  FILE_MODE,
  identityOf,
  sidecarFolder,
  sidecarPath,
  temporaryFolder,
  temporaryPath,
} from './local/layout.ts';
import { publish, takeAway } from './local/publish.ts';
import { clearStale, evict, listFiles } from './local/upkeep.ts';
import type {
  EntryInfo,
  OpenEntry,
  RemoveOutcome,
  Store,
  StoreOptions,
  WriteOptions,
  WriteOutcome,
} from './store.ts';

export interface DirectoryStoreOptions {
  /** Absolute; made when it is not there. */
  dir: string;
  /** After a save, the entries used longest ago are deleted until the rest is no larger. */
  maxSizeBytes: number;
  emit: Emit;
}

export function createDirectoryStore(options: DirectoryStoreOptions): Store {
  return new DirectoryStore(options);
}

const CHUNK_BYTES = 1024 * 1024;

class DirectoryStore implements Store {
  readonly kind = 'local';
  readonly #dir: string;
  readonly #options: DirectoryStoreOptions;
  /** Entries being read. */
  readonly #open = new Set<FileHandle>();

  constructor(options: DirectoryStoreOptions) {
    this.#dir = options.dir;
    this.#options = options;
  }

  url(key: string): string {
    return entryPath(this.#dir, key);
  }

  async stat(key: string, { signal }: StoreOptions): Promise<EntryInfo | undefined> {
    signal.throwIfAborted();
    return this.#explained('read', key, async () => {
      const stats = await absentAsUndefined(stat(this.url(key), { bigint: true }));
      if (stats === undefined || !stats.isFile()) return undefined;
      return {
        key,
        size: Number(stats.size),
        modified: new Date(Number(stats.mtimeMs)),
        etag: identityOf(stats),
      };
    });
  }

  async open(key: string, { signal }: StoreOptions): Promise<OpenEntry | undefined> {
    signal.throwIfAborted();
    return this.#explained('read', key, async () => {
      const file = await absentAsUndefined(open(this.url(key), 'r'));
      if (file === undefined) return undefined;
      this.#open.add(file);
      const stats = await file.stat({ bigint: true });
      if (!stats.isFile()) {
        this.#release(file);
        return undefined;
      }
      const etag = identityOf(stats);
      const info = { key, size: Number(stats.size), modified: new Date(Number(stats.mtimeMs)), etag };
      return { info, from: 'local', metadata: await this.#use(etag), body: this.#read(file, info, signal) };
    });
  }

  async write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome> {
    const { signal, metadata, ifExists } = options;
    const dir = this.#dir;
    const temporary = temporaryPath(dir);
    try {
      await this.#explained('write', key, () =>
        Promise.all([temporaryFolder(dir), sidecarFolder(dir)].map(makeFolder)),
      );
      await this.#receive(temporary, { key, body, signal });
      return await this.#explained('write', key, async () => {
        const stats = await stat(temporary, { bigint: true });
        const etag = identityOf(stats);
        await writeFile(sidecarPath(dir, etag), JSON.stringify(metadata), { mode: FILE_MODE });
        signal.throwIfAborted();
        if (!(await publish({ dir, temporary, path: this.url(key), ifExists }))) {
          await rm(sidecarPath(dir, etag), { force: true });
          return { type: 'exists' };
        }
        await this.#tidy(key, Number(stats.size));
        return { type: 'saved', size: Number(stats.size), etag };
      });
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }

  async *list(prefix: string, { signal }: StoreOptions): AsyncIterable<EntryInfo> {
    const files = listFiles(this.#dir)[Symbol.asyncIterator]();
    for (;;) {
      signal.throwIfAborted();
      const { done, value } = await this.#explained('read', prefix.replace(/\/$/, ''), () => files.next());
      if (done === true) return;
      const { key, size, modified, etag } = value;
      if (key.startsWith(prefix)) yield { key, size, modified, etag };
    }
  }

  async remove(key: string, { signal, etag }: StoreOptions & { etag?: string }): Promise<RemoveOutcome> {
    signal.throwIfAborted();
    return this.#explained('remove', key, async () => {
      const expected = etag ?? (await this.stat(key, { signal }))?.etag;
      if (expected === undefined) return 'absent';
      await makeFolder(temporaryFolder(this.#dir));
      const outcome = await takeAway(this.#dir, this.url(key), expected);
      if (outcome === 'removed') await rm(sidecarPath(this.#dir, expected), { force: true });
      return outcome;
    });
  }

  now(): number {
    return Date.now();
  }

  close(): void {
    for (const file of this.#open) this.#release(file);
  }

  async #receive(
    temporary: string,
    { key, body, signal }: { key: string; body: AsyncIterable<Uint8Array>; signal: AbortSignal },
  ): Promise<void> {
    const source = body[Symbol.asyncIterator]();
    let done = false;
    const file = await this.#explained('write', key, () => open(temporary, 'wx', FILE_MODE));
    try {
      for (;;) {
        signal.throwIfAborted();
        const next = await raceAbort(source.next(), signal);
        done = next.done === true;
        if (next.done === true) break;
        await this.#explained('write', key, () => file.appendFile(next.value));
      }
    } finally {
      await file.close();
      // A source that is stuck would never answer: it is told, and not waited for.
      if (!done) source.return?.().catch(() => {});
    }
  }

  #read(file: FileHandle, { key, size }: EntryInfo, signal: AbortSignal): AsyncIterable<Uint8Array> {
    let position = 0;
    const next = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      try {
        signal.throwIfAborted();
        const chunk = Buffer.allocUnsafe(Math.min(CHUNK_BYTES, size - position));
        const { bytesRead } =
          chunk.length === 0
            ? { bytesRead: 0 }
            : await this.#explained('read', key, () => file.read(chunk, 0, chunk.length, position));
        signal.throwIfAborted();
        position += bytesRead;
        if (bytesRead > 0) return { done: false, value: chunk.subarray(0, bytesRead) };
        if (position < size) throw this.#cutShort(key);
        this.#release(file);
        return { done: true, value: undefined };
      } catch (error) {
        this.#release(file);
        throw error;
      }
    };
    const finish = async (): Promise<IteratorResult<Uint8Array, undefined>> => {
      this.#release(file);
      return { done: true, value: undefined };
    };
    return { [Symbol.asyncIterator]: () => ({ next, return: finish }) };
  }

  #release(file: FileHandle): void {
    if (this.#open.delete(file)) file.close().catch(() => {});
  }

  /** Marks an entry as used now; returns what travels with it, as far as it is known. */
  async #use(etag: string): Promise<Record<string, string>> {
    const path = sidecarPath(this.#dir, etag);
    try {
      const metadata = JSON.parse(await readFile(path, 'utf8')) as Record<string, string>;
      const now = new Date();
      // A directory mounted read-only serves all the same.
      await utimes(path, now, now).catch(() => {});
      return metadata;
    } catch {
      return {};
    }
  }

  /** Never a reason to fail: the entry is saved. */
  async #tidy(key: string, size: number): Promise<void> {
    const { maxSizeBytes, emit } = this.#options;
    try {
      await clearStale(this.#dir);
      const deleted = await evict(this.#dir, maxSizeBytes, key);
      if (deleted.length > 0)
        emit({ type: 'step', text: `Removed from ${this.#dir}: ${deleted.join(', ')}` });
      if (size > maxSizeBytes) {
        emit({
          type: 'warning',
          message: `${this.url(key)} alone is larger than CACHE_LOCAL_MAX_SIZE`,
          hint: 'Raise CACHE_LOCAL_MAX_SIZE: as it is, every save empties the directory.',
        });
      }
    } catch (error) {
      const message = `${this.#dir} could not be tidied (${systemCode(error) ?? String(error)})`;
      emit({
        type: 'warning',
        message,
        hint: 'Check that everybody who shares the directory may delete in it.',
      });
    }
  }

  #cutShort(key: string): CacheError {
    return new CacheError('STORE_FAILED', `${this.url(key)} became shorter while it was read`, {
      hint: 'Let only sandbox-cache write in CACHE_LOCAL_DIR.',
    });
  }

  async #explained<T>(doing: FileWork, key: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw describeFileFailure(error, { doing, path: this.url(key), dir: this.#dir });
    }
  }
}

async function absentAsUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
