/**
 * A pool of worker threads. A job goes to the least busy worker, which has the next one waiting when it ends
 * a job. Every job settles: by the worker's answer, or when the worker ends for whatever reason; nothing
 * waits for ever.
 */
import { Worker } from 'node:worker_threads';
import { CacheError, ERROR_KINDS, type ErrorCode } from '../../errors.ts';
import type { Job, ReplyOf, Request, Response } from './protocol.ts';

export interface PoolOptions {
  /** Worker threads, at least 1. */
  size: number;
  /**
   * Start them now, so that they are there when work comes: it takes some 30 ms.
   * @default each when there is work for it
   */
  atOnce?: boolean;
  /** The worker's module. @default the worker of this build */
  entry?: URL;
}

export interface Pool {
  /** Jobs that keep all workers busy with one more waiting at each. */
  readonly capacity: number;
  /** @throws CacheError what the handler threw, or WORKER_DIED */
  run<J extends Job>(job: J, transfer?: readonly ArrayBuffer[]): Promise<ReplyOf<J>>;
  /** Stops the workers, whatever they are doing; jobs that are not done are rejected. Idempotent. */
  close(): Promise<void>;
}

export function createPool({ size, atOnce = false, entry = defaultEntry() }: PoolOptions): Pool {
  const threads: Thread[] = [];
  let ended: Error | undefined;
  let nextId = 0;

  /** After one death the pool is of no more use: its caller cannot finish either. */
  function end(reason: Error): void {
    ended ??= reason;
    for (const thread of threads) for (const job of thread.jobs.values()) job.reject(ended);
    for (const thread of threads) thread.jobs.clear();
  }

  function pick(): Thread {
    const least = threads.reduce<Thread | undefined>(
      (best, thread) => (best === undefined || thread.jobs.size < best.jobs.size ? thread : best),
      undefined,
    );
    if (least !== undefined && (least.jobs.size === 0 || threads.length >= size)) return least;
    return startOne();
  }

  function startOne(): Thread {
    const thread = startThread(entry, end);
    threads.push(thread);
    return thread;
  }

  if (atOnce) while (threads.length < size) startOne();

  return {
    capacity: 2 * size,
    run<J extends Job>(job: J, transfer: readonly ArrayBuffer[] = []) {
      return new Promise<ReplyOf<J>>((resolve, reject) => {
        if (ended !== undefined) return reject(ended);
        const thread = pick();
        const id = nextId++;
        thread.jobs.set(id, { resolve: resolve as (reply: unknown) => void, reject });
        thread.worker.postMessage({ id, job } satisfies Request, transfer);
      });
    },
    async close() {
      end(new Error('the pool is closed'));
      await Promise.all(threads.map((thread) => thread.worker.terminate()));
    },
  };
}

interface Thread {
  worker: Worker;
  jobs: Map<number, { resolve: (reply: unknown) => void; reject: (error: Error) => void }>;
}

function startThread(entry: URL, onDeath: (reason: Error) => void): Thread {
  const worker = startWorker(entry);
  const jobs: Thread['jobs'] = new Map();

  worker.on('message', (response: Response) => {
    const job = jobs.get(response.id);
    jobs.delete(response.id);
    if ('failure' in response) job?.reject(revive(response.failure));
    else job?.resolve(response.reply);
  });
  worker.on('error', (error) => onDeath(died(error)));
  worker.on('messageerror', (error) => onDeath(died(error)));
  worker.on('exit', (code) => onDeath(died(new Error(`exit code ${code}`))));
  return { worker, jobs };
}

/** @throws CacheError WORKER_DIED where this user or container may have no more threads */
function startWorker(entry: URL): Worker {
  try {
    return new Worker(entry, {
      // Buffers live outside the heap. A nursery of 8 MiB is no faster, and takes 5 MiB more of memory for each worker.
      resourceLimits: { maxYoungGenerationSizeMb: 2 },
    });
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new CacheError('WORKER_DIED', `A worker thread cannot be started (${reason})`, {
      cause,
      hint: "Allow more processes (ulimit -u, the container's pids limit), or set CACHE_WORKERS=1.",
    });
  }
}

function died(cause: Error | Partial<Error>): CacheError {
  const outOfMemory = 'code' in cause && cause.code === 'ERR_WORKER_OUT_OF_MEMORY';
  // Not every error survives the way from the worker.
  const reason = cause.message || 'without a reason';
  return new CacheError('WORKER_DIED', `A worker thread ended unexpectedly (${reason})`, {
    cause,
    hint: outOfMemory ? 'Give the process more memory, or set CACHE_WORKERS=1.' : 'Try again.',
  });
}

function revive(failure: { code?: string; message: string; hint?: string; stack?: string }): Error {
  if (failure.code !== undefined && failure.code in ERROR_KINDS)
    return new CacheError(
      failure.code as ErrorCode,
      failure.message,
      failure.hint === undefined ? {} : { hint: failure.hint },
    );
  const error = new Error(failure.message);
  if (failure.stack !== undefined) error.stack = failure.stack;
  return error;
}

function defaultEntry(): URL {
  // Sources run in tests only, where something has to compile the worker's.
  const worker = import.meta.url.endsWith('.ts') ? '../../../.build/source-worker.mjs' : './worker.cjs';
  return new URL(worker, import.meta.url);
}
