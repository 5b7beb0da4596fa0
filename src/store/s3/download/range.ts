/**
 * One range of an object on its way. One connection brings it; a second one may join where the first is far
 * too slow. Both carry `If-Match`, so whichever is ahead adds its bytes, and what the other brings late is
 * dropped. When the range is complete, the connection that is left over ends.
 */
import type { IncomingMessage } from 'node:http';
import { PartBuffer } from '../../../async/part-buffer.ts';
import type { Connection } from '../connection/connection.ts';
import { classify, TransferError } from '../errors/classify.ts';
import { inspect } from '../errors/inspect.ts';
import { getRange, type RangeAnswer } from '../objects/objects.ts';
import { Leg, PROGRESS_BYTES } from './leg.ts';

export interface RangeSource {
  connection: Connection;
  key: string;
  /** Of the object as it was seen last. */
  readonly etag: string;
  /** Whether the object under the key is still the same, now with another ETag than the one asked for. */
  hasNewEtag: (asked: string) => Promise<boolean>;
  /** Ends everything. */
  signal: AbortSignal;
  /** Called where the service asks for patience. */
  onThrottled: () => void;
}

export interface RangePlace {
  start: number;
  /** One past the last byte. */
  end: number;
  /** Bytes held before the connection has to wait for the consumer. */
  limit: number;
}

export class Range {
  readonly start: number;
  readonly end: number;
  readonly part: PartBuffer;
  /** The connection that finished it, once it is complete. */
  winner: Leg | undefined;
  /** Called once, with what came in which time, when so many bytes are here. */
  sample: { bytes: number; report: (bytes: number, ms: number) => void } | undefined;
  readonly #source: RangeSource;
  #first: Leg;
  #second: Leg | undefined;
  /** The error of the first connection, while the second goes on. */
  #failure: { error: unknown } | undefined;
  #resolve: () => void = () => {};
  #reject: (error: unknown) => void = () => {};
  /** An answer with the whole object comes at the pace of the consumer. */
  #whole = false;

  constructor(source: RangeSource, { start, end, limit }: RangePlace) {
    this.start = start;
    this.end = end;
    this.part = new PartBuffer(limit);
    this.#source = source;
    this.#first = new Leg(source.signal, end - start);
  }

  get size(): number {
    return this.end - this.start;
  }

  /** The connection that was opened last. */
  get newest(): Leg {
    return this.#second ?? this.#first;
  }

  get hasSecond(): boolean {
    return this.#second !== undefined;
  }

  /** Whether a second connection finished it. */
  get overtaken(): boolean {
    return this.winner !== undefined && this.winner !== this.#first;
  }

  /**
   * Resolves when every byte is in `part`.
   * @throws what the first connection ended with
   */
  async fetch(answer: RangeAnswer | undefined): Promise<void> {
    try {
      await new Promise<void>((resolve, reject) => {
        this.#resolve = resolve;
        this.#reject = reject;
        this.#bring(answer).catch((error: unknown) => {
          this.#failure = { error };
          if (this.#second === undefined) reject(error);
        });
      });
    } finally {
      for (const leg of [this.#first, this.#second]) {
        if (leg === this.winner) leg?.cancel.unlink();
        else leg?.end();
      }
    }
  }

  tick(): void {
    this.newest.tick();
  }

  /** Whether a second connection can help. */
  get canBeHelped(): boolean {
    return !this.#whole && this.winner === undefined;
  }

  /** Opens a second connection for what is missing, in the place of one that was opened earlier. */
  help(): void {
    this.#second?.end();
    const leg = new Leg(this.#source.signal, this.end - this.#position);
    this.#second = leg;
    this.#ask(leg)
      .then((answer) => this.#receive(answer, leg))
      .catch(() => {
        leg.end();
        if (this.#second !== leg) return;
        // It was worth an attempt. The first one is looked at again later.
        this.#second = undefined;
        this.#first.restart();
        if (this.#failure !== undefined) this.#reject(this.#failure.error);
      });
  }

  /** First byte that is not here. */
  get #position(): number {
    return this.start + this.part.received;
  }

  /** By the first connection, again after faults that pass. */
  async #bring(answer: RangeAnswer | undefined): Promise<void> {
    const leg = this.#first;
    const retry = this.#source.connection.retry(leg.cancel.signal);
    let given = answer;
    for (;;) {
      const before = leg.received;
      const asked = this.#source.etag;
      try {
        await this.#receive(given ?? (await this.#ask(leg)), leg);
        return;
      } catch (error) {
        given = undefined;
        if (leg.received - before >= PROGRESS_BYTES) retry.progressed();
        if (classify(error) === 'throttled') this.#source.onThrottled();
        if (isRefused(error) && (await this.#source.hasNewEtag(asked))) continue;
        await retry.wait(error);
      }
    }
  }

  #ask(leg: Leg): Promise<RangeAnswer> {
    const { connection, key, etag } = this.#source;
    return getRange(connection, { key, start: this.#position, end: this.end, etag }, leg.cancel.signal);
  }

  /** Adds one answer's bytes: those that are here already and those after `end` are dropped. */
  async #receive(answer: RangeAnswer, leg: Leg): Promise<void> {
    const { body } = answer;
    const { end, part } = this;
    const { stallTimeoutMs } = this.#source.connection;
    const stalled = (): unknown =>
      body.destroy(new TransferError('stalled', `no byte for ${stallTimeoutMs} ms`));
    let watchdog = setTimeout(stalled, stallTimeoutMs);
    let position = answer.offset;
    leg.answered = performance.now();
    if (!answer.partial) this.#whole = true;
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        watchdog.refresh();
        const begin = Math.max(0, this.#position - position);
        const piece = chunk.subarray(begin, Math.max(begin, end - position));
        position += chunk.length;
        leg.received += chunk.length;
        const behind = piece.length > 0 ? part.push(piece) : undefined;
        this.#report(leg);
        if (this.#position === end && !answer.partial) break;
        if (position > end && answer.partial)
          throw new TransferError('nonsense', `more bytes than Content-Range says`);
        if (behind === undefined) continue;
        // The consumer is slow, not the server: no timer of ours or of the socket may count that.
        clearTimeout(watchdog);
        (body as IncomingMessage).setTimeout(0);
        await behind;
        watchdog = setTimeout(stalled, stallTimeoutMs);
      }
    } finally {
      clearTimeout(watchdog);
    }
    if (this.#position < end)
      throw new TransferError('reset', `${end - this.#position} bytes missing at the end of an answer`);
    this.winner ??= leg;
    this.#resolve();
  }

  #report(leg: Leg): void {
    const { sample } = this;
    if (sample === undefined || leg.received < sample.bytes) return;
    this.sample = undefined;
    sample.report(leg.received, performance.now() - leg.answered);
  }
}

function isRefused(error: unknown): boolean {
  return inspect(error).name === 'PreconditionFailed';
}
