/**
 * Ends the process when the main thread cannot: while it waits in a system call for a file system that does
 * not answer, neither timers nor signal handlers run. A separate thread watches the clock, and signals that
 * the main thread does not take.
 *
 * Starting the thread takes some 25 ms of a CPU. Work that is done within half a second does without.
 */
import { hrtime } from 'node:process';

export interface Watchdog {
  /**
   * Kills the process when this much time has passed.
   * @param options `atOnce`: start the thread now, if it is not running
   * @returns a function that takes the limit back
   */
  limit(milliseconds: number, options?: { atOnce?: boolean }): () => void;
}

/** What the thread is given. */
export interface WatchdogData {
  /** One number: when to kill the process, on the clock of `process.hrtime`; 0 for never. */
  dueNs: BigInt64Array<SharedArrayBuffer>;
}

const START_AFTER_MS = 500;

export function createWatchdog(): Watchdog {
  const dueNs = new BigInt64Array(new SharedArrayBuffer(BigInt64Array.BYTES_PER_ELEMENT));
  const limits = new Set<bigint>();
  let timer: NodeJS.Timeout | undefined;
  let started = false;

  function publish(): void {
    const [first = 0n, ...others] = limits;
    Atomics.store(
      dueNs,
      0,
      others.reduce((least, due) => (due < least ? due : least), first),
    );
  }

  function start(): void {
    if (started) return;
    started = true;
    const { Worker } = process.getBuiltinModule('node:worker_threads');
    const worker = new Worker(new URL('./watchdog.cjs', import.meta.url), {
      workerData: { dueNs } satisfies WatchdogData,
      resourceLimits: { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 8 },
    });
    // Everything else still works without it.
    worker.on('error', () => {});
    worker.unref();
  }

  return {
    limit(milliseconds, { atOnce = false } = {}) {
      const due = hrtime.bigint() + BigInt(Math.round(milliseconds)) * 1_000_000n;
      limits.add(due);
      publish();
      if (atOnce) start();
      else timer ??= setTimeout(start, START_AFTER_MS).unref();
      return () => {
        limits.delete(due);
        publish();
        if (limits.size > 0) return;
        clearTimeout(timer);
        timer = undefined;
      };
    },
  };
}
