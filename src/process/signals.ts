/**
 * Signals. The first one aborts the work, which then has time to clean up; a second one ends the process at
 * once.
 *
 * Handlers run on the main thread, which may be waiting for a file system that does not answer. So there are
 * no handlers until work begins that needs cleaning up; before that, a signal ends the process as usual.
 * After that, the watchdog makes sure that the process ends.
 */
import { readFileSync, readlinkSync } from 'node:fs';
import { CacheError } from '../errors.ts';
import type { Watchdog } from './watchdog.ts';

/** Exit codes, as shells have them: 128 and the signal's number. */
export const SIGNAL_CODES = { SIGINT: 130, SIGHUP: 129, SIGTERM: 143 } as const;
export type StopSignal = keyof typeof SIGNAL_CODES;

/** After a signal the program ends within 2 s, whatever is still running. */
const LAST_MOMENT_MS = 1800;
const WATCHDOG_MS = 1900;

export interface Signals {
  /** Aborted by the first signal, with the CacheError to end with. */
  readonly aborted: AbortSignal;
  /** The first signal. */
  readonly first: StopSignal | undefined;
  /** Catches signals from now on. Idempotent. */
  watch(): void;
}

/** @param end ends the process by the first signal's default effect */
export function createSignals(watchdog: Watchdog, end: (signal: StopSignal) => void): Signals {
  const controller = new AbortController();
  let watching = false;
  let first: StopSignal | undefined;

  function stop(signal: StopSignal): void {
    if (first !== undefined) return end(first);
    first = signal;
    setTimeout(() => end(signal), LAST_MOMENT_MS).unref();
    watchdog.limit(WATCHDOG_MS, { atOnce: true });
    controller.abort(new CacheError('INTERRUPTED', `Stopped by ${signal}`));
  }

  return {
    aborted: controller.signal,
    get first() {
      return first;
    },
    watch() {
      if (watching) return;
      watching = true;
      process.on('SIGINT', stop);
      process.on('SIGTERM', stop);
      process.on('SIGHUP', ignoresHangup() ? () => {} : stop);
    },
  };
}

/**
 * Whether we were started to outlive the terminal: by `nohup`, or by a script that ignores SIGHUP. Node gives
 * ignored signals their default effect back when it starts, so that its own state tells nothing. The parent
 * shell's state shows it. So do the variable `_` that bash and zsh set, and an output named `nohup.out`. With
 * dash, and the output sent elsewhere, nothing shows it.
 */
function ignoresHangup(): boolean {
  const { env, ppid } = process;
  if (/(^|\/)nohup$/.test(env['_'] ?? '')) return true;
  try {
    if (readlinkSync('/proc/self/fd/1').endsWith('/nohup.out')) return true;
    const ignored = /^SigIgn:\s*([0-9a-f]+)$/m.exec(readFileSync(`/proc/${ppid}/status`, 'latin1'))?.[1];
    return ignored !== undefined && (BigInt(`0x${ignored}`) & 1n) === 1n;
  } catch {
    return false;
  }
}
