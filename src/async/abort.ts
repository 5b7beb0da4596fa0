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
 * Like `AbortSignal.any`, but it can be ended: after `unlink` no listener is left on the outer signal. And
 * the garbage collector cannot drop it before.
 */
export function linkAbort(outer: AbortSignal): LinkedAbort {
  const controller = new AbortController();
  // Every request in flight listens. Node would take eleven listeners for a leak and print a warning.
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
 * Settles as `promise` does, or rejects with the signal's reason as soon as it aborts. The promise itself
 * goes on, and its result is ignored.
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
