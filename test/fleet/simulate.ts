/**
 * Many machines restore one entry at the same moment, in virtual time. What decides (sizes of ranges, waits before a
 * repetition, when to give up) is the program's own code; the service is a model of S3 with its published limits.
 */
import { ATTEMPTS, retryDelayMs } from '../../src/store/s3/errors/retry.ts';
import { RangePlan } from '../../src/store/s3/download/range-plan.ts';

const MIB = 1024 * 1024;

export interface Fleet {
  restorers: number;
  /** Bytes of the entry. */
  bytes: number;
  /** GETs a second that the service answers; the rest get 503. */
  getsPerSecond: number;
  /** Bytes a second of one connection. */
  rate: number;
  /** Time to the first byte, milliseconds. */
  latencyMs: number;
  /** Of the random part of waits: the same seed gives the same run. */
  seed: number;
}

export interface FleetResult {
  /** Those that came to their end. */
  restored: number;
  requests: number;
  refused: number;
  /** Virtual seconds until the middle one and the last one had all bytes. */
  medianSeconds: number;
  lastSeconds: number;
}

export function simulate(fleet: Fleet): FleetResult {
  const random = generator(fleet.seed);
  const events = new Queue();
  const ends: number[] = [];
  let requests = 0;
  let refused = 0;
  let tokens = fleet.getsPerSecond;
  let refilled = 0;
  const admits = (now: number): boolean => {
    tokens = Math.min(fleet.getsPerSecond, tokens + ((now - refilled) * fleet.getsPerSecond) / 1000);
    refilled = now;
    if (tokens < 1) return false;
    tokens -= 1;
    return true;
  };

  const start = (): void => {
    const plan = new RangePlan({ smallest: 2 * MIB, largest: 8 * MIB, budget: 32 * MIB });
    let next = 0;
    let open = 0;
    let held = 0;
    let failed = false;
    const fill = (now: number): void => {
      while (next < fleet.bytes && open < plan.count) {
        const size = Math.min(plan.size, fleet.bytes - next);
        if (held + size > 32 * MIB && held > 0) return;
        next += size;
        open += 1;
        held += size;
        ask(now, size, 1);
      }
    };
    const ask = (now: number, size: number, attempt: number): void => {
      if (failed) return;
      requests += 1;
      if (!admits(now)) {
        refused += 1;
        plan.throttled();
        if (attempt >= ATTEMPTS.throttled) {
          failed = true;
          return;
        }
        const wait = retryDelayMs('throttled', attempt, { baseDelayMs: 100, random: random() });
        events.add(now + fleet.latencyMs + wait, (later) => ask(later, size, attempt + 1));
        return;
      }
      const ms = (size / fleet.rate) * 1000;
      events.add(now + fleet.latencyMs + ms, (later) => {
        plan.measured(size, ms);
        open -= 1;
        held -= size;
        if (!failed && open === 0 && next >= fleet.bytes) ends.push(later);
        fill(later);
      });
    };
    next = Math.min(plan.size, fleet.bytes);
    open = 1;
    held = next;
    ask(0, next, 1);
  };
  for (let n = 0; n < fleet.restorers; n++) start();
  events.run();
  ends.sort((a, b) => a - b);
  return {
    restored: ends.length,
    requests,
    refused,
    medianSeconds: (ends[ends.length >> 1] ?? Number.NaN) / 1000,
    lastSeconds: (ends.at(-1) ?? Number.NaN) / 1000,
  };
}

/** What happens when, the earliest first: a binary heap. */
class Queue {
  readonly #heap: { at: number; run: (now: number) => void }[] = [];

  add(at: number, run: (now: number) => void): void {
    const heap = this.#heap;
    heap.push({ at, run });
    for (let n = heap.length - 1; n > 0;) {
      const parent = (n - 1) >> 1;
      if (heap[parent]!.at <= heap[n]!.at) return;
      [heap[parent], heap[n]] = [heap[n]!, heap[parent]!];
      n = parent;
    }
  }

  run(): void {
    for (let event = this.#take(); event !== undefined; event = this.#take()) event.run(event.at);
  }

  #take(): { at: number; run: (now: number) => void } | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (first === undefined || last === undefined || heap.length === 0) return first;
    heap[0] = last;
    for (let n = 0; ;) {
      const [left, right] = [2 * n + 1, 2 * n + 2];
      let least = n;
      if (left < heap.length && heap[left]!.at < heap[least]!.at) least = left;
      if (right < heap.length && heap[right]!.at < heap[least]!.at) least = right;
      if (least === n) return first;
      [heap[least], heap[n]] = [heap[n]!, heap[least]!];
      n = least;
    }
  }
}

/** Numbers from 0 to 1 (mulberry32). */
function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}
