/**
 * Entries as files of one directory, which several containers and users may share (a volume, a hostPath).
 *
 * `<dir>/<key>` is the entry as it is: `tar -xzf` opens it. It is there whole or not at all, and of many
 * writers one wins (`local/publish.ts`). What travels with it lies beside it (`local/sidecar.ts`). That is
 * written first and found by the identity of the file, so that the two always belong together. Nothing is
 * believed of a name: whoever shares the directory may have put a link, a FIFO or a device there.
 */
import { constants } from 'node:fs';
import { open, rm, stat, type FileHandle } from 'node:fs/promises';
import { CacheError, reasonOf, systemCode } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import { raceAbort } from '../../async/abort.ts';
import { describeFileError, notRegular, type FileWork } from './errors.ts';
import { fileModes, hasFolders, makeFolders } from './folder.ts';
import {
  entryPath,
  identityOf,
  sidecarFolder,
  sidecarPath,
  temporaryFolder,
  temporaryPath,
} from './layout.ts';
import { fileSystemTime } from './clock.ts';
import { infoOf, listEntries, lookAtEntry } from './list.ts';
import { publish, takeAway } from './publish.ts';
import { markUsed, readSidecar, type Sidecar, writeSidecar } from './sidecar.ts';
import { tidy, type Upkeep } from './upkeep.ts';
import type {
  EntryDetails,
  EntryInfo,
  OpenEntry,
  RemoveOptions,
  RemoveOutcome,
  Store,
  StoreOptions,
  WriteOptions,
  WriteOutcome,
} from '../store.ts';

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
/** Never waits for the other end of a FIFO, never follows a link. */
const READ_FLAGS = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;

class DirectoryStore implements Store {
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

  async stat(key: string, { signal }: StoreOptions): Promise<EntryDetails | undefined> {
    const info = await this.#look(key, signal);
    return info && { ...info, metadata: (await this.#sidecar(info.etag))?.metadata ?? {} };
  }

  async open(key: string, { signal }: StoreOptions): Promise<OpenEntry | undefined> {
    // Checked before it is opened, because opening a device can have effects.
    if ((await this.#look(key, signal)) === undefined) return undefined;
    return this.#explained('read', key, async () => {
      const file = await absentAsUndefined(open(this.url(key), READ_FLAGS));
      if (file === undefined) return undefined;
      this.#open.add(file);
      const stats = await file.stat({ bigint: true });
      if (!stats.isFile()) {
        this.#release(file);
        throw notRegular(this.url(key));
      }
      const info = infoOf(key, stats);
      return {
        info,
        from: 'local',
        metadata: await this.#use(info.etag),
        body: this.#read(file, info, signal),
      };
    });
  }

  async write(key: string, body: AsyncIterable<Uint8Array>, options: WriteOptions): Promise<WriteOutcome> {
    const { signal, metadata, ifExists } = options;
    const dir = this.#dir;
    const temporary = temporaryPath(dir);
    try {
      const modes = await this.#explained('write', key, async () => {
        for (const folder of [temporaryFolder(dir), sidecarFolder(dir)]) await makeFolders(dir, folder);
        return fileModes(dir);
      });
      await this.#receive(temporary, { key, body, signal, mode: modes.entry });
      return await this.#explained('write', key, async () => {
        const stats = await stat(temporary, { bigint: true });
        const etag = identityOf(stats);
        const now = await writeSidecar(dir, etag, { key, metadata, mode: modes.sidecar });
        let published = false;
        try {
          signal.throwIfAborted();
          published = await publish({ dir, temporary, path: this.url(key), ifExists });
        } finally {
          if (!published) await rm(sidecarPath(dir, etag), { force: true });
        }
        if (!published) return { type: 'exists' };
        await this.#tidy(
          { dir, maxSizeBytes: this.#options.maxSizeBytes, kept: key, now },
          Number(stats.size),
        );
        return { type: 'saved', size: Number(stats.size), etag };
      });
    } finally {
      await rm(temporary, { force: true }).catch(() => {});
    }
  }

  async *list(prefix: string, { signal }: StoreOptions): AsyncIterable<EntryInfo> {
    const entries = listEntries(this.#dir, prefix)[Symbol.asyncIterator]();
    for (;;) {
      signal.throwIfAborted();
      const next = await this.#explained('read', prefix.replace(/\/$/, ''), () => entries.next());
      if (next.done === true) return;
      yield next.value;
    }
  }

  async remove(key: string, { signal, etag }: RemoveOptions): Promise<RemoveOutcome> {
    signal.throwIfAborted();
    return this.#explained('remove', key, async () => {
      const expected = etag ?? (await this.#look(key, signal))?.etag;
      if (expected === undefined) return 'absent';
      await makeFolders(this.#dir, temporaryFolder(this.#dir));
      const outcome = await takeAway(this.#dir, this.url(key), expected);
      if (outcome === 'removed') await rm(sidecarPath(this.#dir, expected), { force: true });
      return outcome;
    });
  }

  now(): number {
    return fileSystemTime(this.#dir) ?? Date.now();
  }

  close(): void {
    for (const file of this.#open) this.#release(file);
  }

  async #receive(
    temporary: string,
    {
      key,
      body,
      signal,
      mode,
    }: { key: string; body: AsyncIterable<Uint8Array>; signal: AbortSignal; mode: number },
  ): Promise<void> {
    const source = body[Symbol.asyncIterator]();
    let done = false;
    const file = await this.#explained('write', key, () => open(temporary, 'wx', mode));
    try {
      // Whatever the umask; file systems without modes refuse.
      await file.chmod(mode).catch(() => {});
      for (;;) {
        signal.throwIfAborted();
        const next = await raceAbort(source.next(), signal);
        done = next.done === true;
        if (next.done === true) break;
        await this.#explained('write', key, () => file.appendFile(next.value));
      }
    } finally {
      await file.close();
      // A stuck source would never answer, so it is told to stop but not waited for.
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
    const sidecar = await this.#sidecar(etag);
    if (sidecar?.key !== undefined) await markUsed(this.#dir, etag);
    return sidecar?.metadata ?? {};
  }

  async #look(key: string, signal: AbortSignal): Promise<EntryInfo | undefined> {
    signal.throwIfAborted();
    return this.#explained('read', key, async () => {
      const stats = await lookAtEntry(this.#dir, key);
      // It is the folder of longer keys.
      if (stats === undefined || stats.isDirectory()) return undefined;
      if (!stats.isFile()) throw notRegular(this.url(key));
      return infoOf(key, stats);
    });
  }

  async #sidecar(etag: string): Promise<Sidecar | undefined> {
    if (!(await hasFolders(this.#dir, sidecarFolder(this.#dir)))) return undefined;
    return readSidecar(this.#dir, etag);
  }

  /** Errors here only warn: the entry has been saved. */
  async #tidy(upkeep: Upkeep, size: number): Promise<void> {
    const { dir, maxSizeBytes, kept } = upkeep;
    const { emit } = this.#options;
    try {
      const { deleted, stuckBytes } = await tidy(upkeep);
      if (deleted.length > 0) emit({ type: 'step', text: `Removed from ${dir}: ${deleted.join(', ')}` });
      if (stuckBytes > 0) {
        emit({
          type: 'warning',
          message: `${dir} is larger than CACHE_LOCAL_MAX_SIZE, and this user may not delete what others saved`,
          hint: 'Share it by a group (chmod g+ws) in place of the sticky bit, or run prune as their user.',
        });
      }
      if (size > maxSizeBytes) {
        emit({
          type: 'warning',
          message: `${this.url(kept)} alone is larger than CACHE_LOCAL_MAX_SIZE`,
          hint: 'Raise CACHE_LOCAL_MAX_SIZE: as it is, every save empties the directory.',
        });
      }
    } catch (error) {
      emit({
        type: 'warning',
        message: `${dir} could not be tidied (${reasonOf(error)})`,
        hint: 'Check that everybody who shares the directory may read and delete in it.',
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
      throw describeFileError(error, { doing, path: this.url(key), dir: this.#dir });
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
