/**
 * The thread of watchdog.ts: kills the process when its time is over, or when a signal waits for a main
 * thread that is stuck.
 */
import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { workerData } from 'node:worker_threads';
import type { WatchdogData } from './watchdog.ts';

const POLL_MS = 250;
/** How long a signal may wait for the main thread, which takes it at once unless it is stuck. */
const PENDING_MS = 1250;
/** SIGHUP, SIGINT and SIGTERM, as the mask of `/proc/PID/status` has them. */
const STOP_SIGNALS = (1n << 0n) | (1n << 1n) | (1n << 14n);

const { dueNs } = workerData as WatchdogData;
const never = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
let pendingSince: number | undefined;
for (;;) {
  Atomics.wait(never, 0, 0, POLL_MS);
  const due = Atomics.load(dueNs, 0);
  if (due !== 0n && process.hrtime.bigint() >= due) kill('its time is over');
  const now = performance.now();
  pendingSince = isSignalPending() ? (pendingSince ?? now) : undefined;
  if (pendingSince !== undefined && now - pendingSince >= PENDING_MS) kill('a signal came');
}

/** Only Linux shows this. Elsewhere only the time counts. */
function isSignalPending(): boolean {
  try {
    const status = readFileSync('/proc/self/status', 'latin1');
    const pending = /^ShdPnd:\s*([0-9a-f]+)$/m.exec(status)?.[1] ?? '0';
    return (BigInt(`0x${pending}`) & STOP_SIGNALS) !== 0n;
  } catch {
    return false;
  }
}

function kill(why: string): void {
  try {
    // Opened anew without blocking, because the reader may have stopped reading.
    const stderr = openSync('/dev/stderr', constants.O_WRONLY | constants.O_APPEND | constants.O_NONBLOCK);
    writeSync(stderr, `[cache] error: Killed: ${why}, and a file system does not answer [TIMEOUT]\n`);
    closeSync(stderr);
  } catch {
    // It is a socket, or nobody reads it.
  }
  process.kill(process.pid, 'SIGKILL');
}
