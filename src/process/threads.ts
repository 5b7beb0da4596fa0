import type { Worker } from 'node:worker_threads';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Threads {
  /**
   * Stops the workers and waits for what other threads are doing. `process.exit` waits for all threads, and
   * would wait forever for one that is stuck in a system call.
   * @returns whether they ended in time
   */
  end(withinMs: number): Promise<boolean>;
}

/** Keeps track of all workers that are started from now on. */
export function trackThreads(): Threads {
  const workers = new Set<Worker>();
  process.on('worker', (worker) => {
    workers.add(worker);
    worker.once('exit', () => workers.delete(worker));
  });
  return {
    async end(withinMs) {
      if (workers.size === 0 && !hasFileRequests()) return true;
      const late = performance.now() + withinMs;
      for (const worker of workers) void worker.terminate();
      while (workers.size > 0 || hasFileRequests()) {
        if (performance.now() > late) return false;
        await sleep(POLL_MS);
      }
      return true;
    },
  };
}

const POLL_MS = 5;

/**
 * Whether a thread of Node's own pool is working on a file. Other work, such as name lookups and ciphers,
 * ends by itself.
 */
function hasFileRequests(): boolean {
  return process.getActiveResourcesInfo().some((name) => /^(FSReq|FileHandle)/.test(name));
}
