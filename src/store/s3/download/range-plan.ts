/**
 * How long the next range is, and how many may be on their way. All ranges share one amount of memory, so
 * shorter ranges mean more connections.
 *
 * It begins with a few short ranges. What the first connection brings while it is alone decides what comes
 * next: a range takes about 50 ms to come. On a fast network that is a few long ranges, since each request
 * costs CPU time. Where one connection is slow, it is many short ones. If many bring hardly more than the
 * first one did alone, something other than the connection is the limit, and few long ranges do as well.
 */
export interface RangeLimits {
  /** Bytes of the shortest range. */
  smallest: number;
  /** Bytes of the longest range. */
  largest: number;
  /** Bytes of all ranges that are on their way or not yet handed on. */
  budget: number;
}

const RANGE_MS = 50;
/** Weight of the newest rate in the average. */
const NEWEST = 0.3;
/** Many connections have to bring this many times what one brings. */
const WORTHWHILE = 2;

export class RangePlan {
  readonly #limits: RangeLimits;
  /** What one connection brought alone, bytes per millisecond. */
  #alone: number | undefined;
  /** What one connection has brought of late, bytes per millisecond. */
  #rate = 0;
  #samples = 0;
  #few = false;

  constructor(limits: RangeLimits) {
    this.#limits = limits;
  }

  /** Bytes of the next range. */
  get size(): number {
    const { smallest, largest } = this.#limits;
    if (this.#few) return largest;
    return Math.min(largest, Math.max(smallest, Math.round(this.#rate * RANGE_MS)));
  }

  /** How many ranges may be held at a time. */
  get count(): number {
    const { smallest, largest, budget } = this.#limits;
    return Math.floor(budget / (this.#alone === undefined ? largest : smallest));
  }

  /** One connection brought so many bytes in that time, counted from the head of its answer. */
  measured(bytes: number, ms: number): void {
    const rate = bytes / Math.max(ms, 0.1);
    if (this.#alone === undefined) {
      this.#alone = rate;
      this.#rate = rate;
      return;
    }
    this.#rate += NEWEST * (rate - this.#rate);
    this.#samples += 1;
    if (this.#samples < this.count / 2) return;
    this.#few ||= (this.#rate * this.#limits.budget) / this.size < WORTHWHILE * this.#alone;
  }

  /** The service asks for fewer requests. */
  throttled(): void {
    this.#few = true;
  }
}
