/** One connection that brings a range, and how it gets on. */
import { linkAbort, type LinkedAbort } from '../../../async/abort.ts';

/** Fewer bytes than this are no progress. */
export const PROGRESS_BYTES = 64 * 1024;

export class Leg {
  readonly cancel: LinkedAbort;
  /** Bytes that this connection was asked for. */
  readonly wanted: number;
  /** Bytes that came over it. */
  received = 0;
  readonly began = performance.now();
  /** When its last answer began. */
  answered = performance.now();
  /**
   * Ticks that it has been at work. They are counted rather than looked up on a clock: a process that was
   * suspended must not take all its connections for slow.
   */
  ticks = 0;
  #progressTicks = 0;
  #progressBytes = 0;

  constructor(outer: AbortSignal, wanted: number) {
    this.cancel = linkAbort(outer);
    this.wanted = wanted;
  }

  tick(): void {
    this.ticks += 1;
    if (this.received - this.#progressBytes < PROGRESS_BYTES) return;
    this.#progressBytes = this.received;
    this.#progressTicks = this.ticks;
  }

  /** Ticks since it last made progress. */
  get idleTicks(): number {
    return this.ticks - this.#progressTicks;
  }

  /** Counts from now on, as if it had just begun. */
  restart(): void {
    this.ticks = 0;
    this.#progressTicks = 0;
  }

  end(): void {
    this.cancel.abort(new Error('another connection was faster'));
    this.cancel.unlink();
  }
}
