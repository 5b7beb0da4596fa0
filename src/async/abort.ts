/** Abort signals, joined and waited for. */
import { setMaxListeners } from 'node:events';

/** An abort controller that follows an outer signal until `unlink`. */
export interface LinkedAbort {
  readonly signal: AbortSignal;
  abort(reason?: unknown): void;
  /** Lets go of the outer signal. */
  unlink(): void;
}

/**
 * `AbortSignal.any` with an end to it: no listener stays on the outer signal, and none is lost to the
 * collector.
 */
export function linkAbort(outer: AbortSignal): LinkedAbort {
  const controller = new AbortController();
  // Every request in flight listens; Node would take eleven of them for a leak and print a warning.
  setMaxListeners(0, controller.signal, outer);
  const follow = (): void => controller.abort(outer.reason);
  if (outer.aborted) follow();
  else outer.addEventListener('abort', follow, { once: true });
  return {
    signal: controller.signal,
    abort: (reason) => controller.abort(reason),
    unlink: () => outer.removeEventListener('abort', follow),
  };
}

/**
 * Settles as `promise` does, or rejects with the signal's reason at once. The promise goes on by itself,
 * unheard.
 */
export async function raceAbort<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    stop = () => reject(signal.reason as Error);
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
  });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** Settles as `promise` does, or resolves to undefined after `ms`. */
export async function withinTime<T>(promise: Promise<T>, ms: number): Promise<T | undefined> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<undefined>((resolve) => (timer = setTimeout(() => resolve(undefined), ms)));
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
