/**
 * Which range gets a second connection. A range is far slower than its siblings when two of them have
 * finished since it began, and it has taken four times as long as the slower one. Without siblings to compare
 * with, it is one that brings less than 64 KiB in the stall limit.
 *
 * The number of second connections is bounded, two at a time and a few in all, so a service that is slow as a
 * whole is not asked twice for everything.
 */
import type { Leg } from './leg.ts';

/** How often connections are looked at, at most, milliseconds. */
const TICK_MS = 100;
/** No connection is called slow before, milliseconds. */
const LEAST_MS = 500;
const TIMES_AS_LONG = 4;
const AT_A_TIME = 2;
/** Second connections that any download may open, and the ranges that earn it one more. */
const FREE = 4;
const EARNED_BY = 8;
/** Finished ranges that are remembered. */
const REMEMBERED = 32;

interface Finished {
  /** By `performance.now()`, milliseconds. */
  at: number;
  msPerByte: number;
}

export class Laggards {
  readonly tickMs: number;
  /** Second connections so far. */
  opened = 0;
  /** Ranges that a second connection finished. */
  overtaken = 0;
  #finishedRanges = 0;
  #finished: Finished[] = [];
  readonly #stallTimeoutMs: number;

  constructor(stallTimeoutMs: number) {
    this.#stallTimeoutMs = stallTimeoutMs;
    this.tickMs = Math.max(1, Math.min(TICK_MS, stallTimeoutMs / 5));
  }

  /** A range is complete. `leg` finished it. */
  finished(leg: Leg, now = performance.now()): void {
    this.#finishedRanges += 1;
    this.#finished.push({ at: now, msPerByte: (now - leg.began) / Math.max(1, leg.wanted) });
    if (this.#finished.length > REMEMBERED) this.#finished.shift();
  }

  /** @param open second connections now */
  mayOpen(open: number): boolean {
    return open < AT_A_TIME && this.opened < FREE + this.#finishedRanges / EARNED_BY;
  }

  isSlow(leg: Leg): boolean {
    const ms = leg.ticks * this.tickMs;
    if (leg.idleTicks * this.tickMs >= this.#stallTimeoutMs) return true;
    const siblings = this.#finished.filter(({ at }) => at > leg.began);
    if (siblings.length < 2) return false;
    const slowest = Math.max(...siblings.map(({ msPerByte }) => msPerByte * leg.wanted));
    return ms >= Math.max(Math.min(LEAST_MS, this.#stallTimeoutMs), TIMES_AS_LONG * slowest);
  }
}
