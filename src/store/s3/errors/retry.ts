/** Whether and when to try a request again. */
import { inspect } from './inspect.ts';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorKind, classify } from './classify.ts';

/**
 * Attempts in a row, the first included. A stall costs the whole stall limit each time, so it gets the
 * fewest.
 */
export const ATTEMPTS: Record<ErrorKind, number> = {
  throttled: 8,
  server: 5,
  reset: 6,
  refused: 4,
  dns: 3,
  stalled: 2,
  skewed: 2,
  nonsense: 3,
  final: 1,
};

const MAX_DELAY_MS = 4000;
/** Where the service asks for patience. With 4 s, most of 10,000 machines gave up: see docs/scale.md. */
const MAX_PATIENCE_MS = 16_000;
/** Where the service says for how long (`Retry-After`). A wrong clock or header must not hold a build up for an hour. */
const MAX_ASKED_MS = 60_000;

/** Counts the errors of one transfer in a row, and waits between attempts. */
export class Retry {
  #failures = 0;
  readonly #signal: AbortSignal;
  readonly #baseDelayMs: number;
  readonly #onStall: () => void;

  /** @param onStall called before a request that stalled is sent again */
  constructor(signal: AbortSignal, baseDelayMs: number, onStall: () => void) {
    this.#signal = signal;
    this.#baseDelayMs = baseDelayMs;
    this.#onStall = onStall;
  }

  /** Something worth having arrived: what comes next is a new kind, not the same one again. */
  progressed(): void {
    this.#failures = 0;
  }

  /**
   * Returns when it is time to try again.
   * @throws `error` when it is not worth it, or the signal's reason.
   */
  async wait(error: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    const kind = classify(error);
    this.#failures += 1;
    if (this.#failures >= ATTEMPTS[kind]) throw error;
    if (kind === 'stalled') this.#onStall();
    if (kind === 'skewed' || kind === 'stalled') return;
    const { 'retry-after': asked, date } = inspect(error).headers;
    await this.pause(kind, this.#failures, askedDelayMs(asked, date));
  }

  /** Waits as before the `attempt`-th repetition, and at least as long as the service asked for. */
  async pause(kind: ErrorKind, attempt: number, askedMs = 0): Promise<void> {
    const own = retryDelayMs(kind, attempt, { baseDelayMs: this.#baseDelayMs, random: Math.random() });
    await pause(Math.max(own, Math.min(MAX_ASKED_MS, askedMs)), this.#signal);
  }
}

/**
 * What `Retry-After` asks for, milliseconds; 0 where it says nothing of use (RFC 9110 section 10.2.3).
 * @param text seconds, or a date
 * @param date the service's own, from the same answer
 */
export function askedDelayMs(text: string | undefined, date: string | undefined): number {
  if (text === undefined || text.trim() === '') return 0;
  const seconds = Number(text);
  const ms = Number.isNaN(seconds) ? Date.parse(text) - Date.parse(date ?? '') : seconds * 1000;
  return Number.isFinite(ms) ? Math.max(0, ms) : 0;
}

/**
 * The wait before the `attempt`-th repetition, milliseconds. Half of it is random: those that were refused
 * together should not come back together.
 * @param random from 0 to 1
 */
export function retryDelayMs(
  kind: ErrorKind,
  attempt: number,
  { baseDelayMs, random }: { baseDelayMs: number; random: number },
): number {
  const base = baseDelayMs * (kind === 'throttled' ? 3 : 1);
  const most = kind === 'throttled' ? MAX_PATIENCE_MS : MAX_DELAY_MS;
  return Math.min(most, base * 2 ** (attempt - 1)) * (0.5 + random / 2);
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}
