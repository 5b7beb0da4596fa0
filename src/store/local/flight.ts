/**
 * Who fetches an entry into the directory, where several start at once: one leads, the others wait for the
 * copy. The leader's mark is a file among the temporary ones, which it writes to again as bytes come. So a
 * leader that was killed, or to whom nothing comes any more, is known by its silence, in another container
 * too. Two leaders at a time do no harm: they fetch the same entry twice.
 */
import { createHash } from 'node:crypto';
import { lstat, open, rm, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode } from '../../errors.ts';
import { makeFolders } from './folder.ts';
import { temporaryFolder } from './layout.ts';

/** How often a leader writes, at most, milliseconds. */
const BEAT_MS = 500;
/** A leader that is silent for so long is not waited for, milliseconds. */
const SILENT_MS = 3000;
const LOOK_MS = 50;

export interface Flight {
  /** Bytes have come. */
  beat(): void;
  /** Lets the others look for the copy. Idempotent, and never rejects. */
  land(): Promise<void>;
}

export interface Flights {
  /**
   * Takes the lead, or waits for the leader.
   * @returns `landed` when there is nothing to wait for any more: a copy may be there
   * @throws system errors, where nobody can lead, or the signal's reason
   */
  join(key: string, options: { signal: AbortSignal; onWait: () => void }): Promise<Flight | 'landed'>;
}

/** @param dir the store's directory */
export function createFlights(dir: string): Flights {
  return {
    async join(key, { signal, onWait }) {
      await makeFolders(dir, temporaryFolder(dir));
      const path = flightPath(dir, key);
      for (let waits = 0; ; waits += 1) {
        const file = await create(path);
        if (file !== undefined) return lead(file, path);
        if (waits === 0) onWait();
        if ((await watch(path, signal)) === 'landed') return 'landed';
        await rm(path, { force: true });
      }
    },
  };
}

/** Named as every temporary file is, so that what a killed leader leaves is tidied away with those. */
function flightPath(dir: string, key: string): string {
  const hash = createHash('sha256').update(key).digest('hex');
  const lengths = [8, 4, 4, 4, 12];
  let from = 0;
  const name = lengths.map((length) => hash.slice(from, (from += length))).join('-');
  return join(temporaryFolder(dir), name);
}

async function create(path: string): Promise<FileHandle | undefined> {
  try {
    return await open(path, 'wx', 0o644);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return undefined;
    throw error;
  }
}

function lead(file: FileHandle, path: string): Flight {
  let last = performance.now();
  let writing: Promise<unknown> = Promise.resolve();
  let landed: Promise<void> | undefined;
  return {
    beat() {
      const now = performance.now();
      if (landed !== undefined || now - last < BEAT_MS) return;
      last = now;
      writing = writing.then(() => file.write('.')).catch(() => {});
    },
    land() {
      landed ??= writing
        .then(async () => {
          // Whoever took us for dead may have a mark of its own there by now.
          const [ours, there] = await Promise.all([file.stat(), lstat(path)]);
          await file.close();
          if (ours.ino === there.ino) await rm(path, { force: true });
        })
        .catch(() => file.close().catch(() => {}));
      return landed;
    },
  };
}

async function watch(path: string, signal: AbortSignal): Promise<'landed' | 'silent'> {
  let seen = '';
  let since = performance.now();
  for (;;) {
    const stats = await lstat(path).catch(() => undefined);
    if (stats === undefined) return 'landed';
    const now = `${stats.ino} ${stats.size} ${stats.mtimeMs}`;
    if (now !== seen) {
      seen = now;
      since = performance.now();
    } else if (performance.now() - since > SILENT_MS) {
      return 'silent';
    }
    await sleep(LOOK_MS, undefined, { signal }).catch(() => signal.throwIfAborted());
  }
}
