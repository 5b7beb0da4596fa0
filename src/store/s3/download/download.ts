/**
 * One object as a stream, read by several connections at once. The object is cut into ranges; those ahead of
 * the consumer are fetched in parallel, each into memory, and handed over in order. The first request has no
 * `If-Match` and fixes the ETag; all others carry it, so bytes of two objects never meet. A range that breaks
 * off goes on where it was. An object that is copied onto itself meanwhile is the same object with another
 * ETag, by its write id and its size, and is read on.
 *
 * The memory bound: a new range begins only if its bytes, and those of all ranges that the consumer has not
 * wholly taken, fit into `budget`. `RangePlan` says how long it is, so shorter ranges are more of them in the
 * same memory. A second connection for a slow range writes into the same buffer, and brings no memory but
 * that of its socket. A server that ignores ranges sends one answer, which waits once `budget` is full.
 */
import { CacheError } from '../../../errors.ts';
import type { LinkedAbort } from '../../../async/abort.ts';
import type { OpenEntry } from '../../store.ts';
import type { Connection } from '../connection/connection.ts';
import { isAbsent } from '../objects/absence.ts';
import { getRange, isMissing, lookUpEmpty, type RangeAnswer } from '../objects/objects.ts';
import { inspect } from '../errors/inspect.ts';
import { Laggards } from './laggards.ts';
import { Pin } from './pin.ts';
import { RangePlan, type RangeLimits } from './range-plan.ts';
import { Range, type RangeSource } from './range.ts';

export interface DownloadOptions extends RangeLimits {
  signal: AbortSignal;
}

/** Bytes after which the rate of the first connection is known. */
const SAMPLE_BYTES = 512 * 1024;

/** Resolves when the first answer is here; undefined when there is no such object. */
export async function openObject(
  connection: Connection,
  key: string,
  options: DownloadOptions,
): Promise<OpenEntry | undefined> {
  const cancel = connection.link(options.signal);
  let opened = false;
  try {
    const entry = await openFirst(connection, key, { ...options, cancel });
    opened = entry !== undefined;
    return entry;
  } finally {
    if (!opened) cancel.unlink();
  }
}

async function openFirst(
  connection: Connection,
  key: string,
  transfer: Transfer,
): Promise<OpenEntry | undefined> {
  const { signal } = transfer.cancel;
  const retry = connection.retry(signal);
  for (;;) {
    try {
      const first = await getRange(connection, { key, start: 0, end: transfer.smallest }, signal);
      const body = new Download(connection, first, transfer).body();
      return { info: first.info, from: 's3', metadata: first.metadata, body };
    } catch (error) {
      if (isMissing(error) || (await isAbsent(connection, { key, error }, signal))) return undefined;
      if (inspect(error).name === 'InvalidRange') {
        const empty = await lookUpEmpty(connection, key, signal);
        return empty && { info: empty.info, from: 's3', metadata: empty.metadata, body: nothing() };
      }
      await retry.wait(error);
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

interface Transfer extends DownloadOptions {
  /** Ends every request of this download, and follows the caller's signal. */
  cancel: LinkedAbort;
}

class Download {
  readonly #connection: Connection;
  readonly #first: RangeAnswer;
  readonly #transfer: Transfer;
  readonly #source: RangeSource;
  readonly #plan: RangePlan;
  readonly #laggards: Laggards;
  readonly #watch: NodeJS.Timeout;
  /** In the order of their bytes; the one that is being handed over is the first. */
  readonly #ranges: Range[] = [];
  /** Where the next range begins. */
  #next = 0;
  #begun = 0;
  #mostAtATime = 0;

  constructor(connection: Connection, first: RangeAnswer, transfer: Transfer) {
    const { key, size } = first.info;
    const { signal } = transfer.cancel;
    this.#connection = connection;
    this.#first = first;
    this.#transfer = transfer;
    this.#plan = new RangePlan(transfer);
    this.#laggards = new Laggards(connection.stallTimeoutMs);
    const pin = new Pin(connection, first.info, signal);
    this.#source = {
      connection,
      key,
      get etag() {
        return pin.etag;
      },
      hasNewEtag: (asked) => pin.hasNewEtag(asked),
      signal,
      onThrottled: () => this.#plan.throttled(),
    };
    // A server that ignores ranges sends everything in its first answer, which is then the only range.
    this.#start(first.partial ? Math.min(transfer.smallest, size) : size, first);
    this.#fill();
    this.#watch = setInterval(() => this.#overtake(), this.#laggards.tickMs).unref();
  }

  body(): AsyncIterable<Uint8Array> {
    const parts = this.#deliver();
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => parts.next(),
        // A generator that waits, or has not begun, would not hear of it: the connections end first.
        return: async () => {
          this.#end();
          return parts.return(undefined);
        },
      }),
    };
  }

  async *#deliver(): AsyncGenerator<Uint8Array, undefined> {
    try {
      for (let range = this.#ranges[0]; range !== undefined; range = this.#ranges[0]) {
        yield* range.part.drain();
        this.#ranges.shift();
        this.#fill();
      }
      this.#tell();
    } catch (error) {
      throw this.#explain(error);
    } finally {
      this.#end();
    }
  }

  #end(): void {
    clearInterval(this.#watch);
    this.#transfer.cancel.abort();
    this.#transfer.cancel.unlink();
  }

  #fill(): void {
    const { size } = this.#first.info;
    while (this.#next < size && this.#ranges.length < this.#plan.count) {
      const end = Math.min(this.#next + this.#plan.size, size);
      if (end - (this.#ranges[0]?.start ?? this.#next) > this.#transfer.budget) return;
      this.#start(end);
    }
  }

  #start(end: number, answer?: RangeAnswer): void {
    const range = new Range(this.#source, { start: this.#next, end, limit: this.#transfer.budget });
    this.#ranges.push(range);
    this.#next = end;
    this.#begun += 1;
    this.#mostAtATime = Math.max(this.#mostAtATime, this.#ranges.length);
    const measured = (bytes: number, ms: number): void => {
      this.#plan.measured(bytes, ms);
      this.#fill();
    };
    if (answer !== undefined) range.sample = { bytes: SAMPLE_BYTES, report: measured };
    range.fetch(answer).then(
      () => {
        range.part.end();
        const { winner } = range;
        if (winner === undefined) return;
        this.#laggards.finished(winner);
        if (range.overtaken) this.#laggards.overtaken += 1;
        else if (answer === undefined) measured(winner.received, performance.now() - winner.answered);
      },
      (error: unknown) => {
        // The consumer learns of it now, whichever range it waits for.
        for (const waiting of this.#ranges) waiting.part.fail(error);
        this.#transfer.cancel.abort();
      },
    );
  }

  /** Gives ranges that are far slower than the others a second connection. */
  #overtake(): void {
    const running = this.#ranges.filter(({ winner }) => winner === undefined);
    for (const range of running) {
      range.tick();
      const others = running.filter((other) => other !== range && other.hasSecond).length;
      if (!range.canBeHelped || !this.#laggards.isSlow(range.newest)) continue;
      if (!this.#laggards.mayOpen(others)) continue;
      this.#laggards.opened += 1;
      range.help();
    }
  }

  #tell(): void {
    const { opened, overtaken } = this.#laggards;
    const most = this.#mostAtATime;
    const text = `Fetched in ${this.#begun} ranges, at most ${most} at a time`;
    const slow =
      opened === 0 ? '' : `; second connections for slow ones: ${opened}, of which ${overtaken} were faster`;
    this.#connection.emit({ type: 'step', text: text + slow });
  }

  #explain(error: unknown): unknown {
    if (this.#transfer.signal.aborted) return this.#transfer.signal.reason;
    const { key } = this.#first.info;
    if (inspect(error).name === 'PreconditionFailed' || isMissing(error)) {
      return new CacheError(
        'STORE_REPLACED',
        `s3://${this.#connection.bucket}/${key} was replaced while it was read`,
        {
          hint: 'Run the restore again.',
        },
      );
    }
    return this.#connection.explain(error, { action: 's3:GetObject', key });
  }
}
