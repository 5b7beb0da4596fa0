/**
 * One object as a stream, read by several connections at once. The object is cut into parts; a few parts
 * ahead of the consumer are fetched in parallel, each into memory, and handed over in order. The first
 * request has no `If-Match` and fixes the ETag; all others carry it, so bytes of two objects never meet. A
 * part that breaks off goes on where it was.
 */
import type { IncomingMessage } from 'node:http';
import { CacheError } from '../../errors.ts';
import type { LinkedAbort } from '../../async/abort.ts';
import type { OpenEntry } from '../store.ts';
import type { Connection } from './connection/connection.ts';
import { TransferError } from './errors/classify.ts';
import { getRange, isMissing, lookUpEmpty, type RangeAnswer } from './objects/objects.ts';
import { PartBuffer } from '../../async/part-buffer.ts';
import { inspect } from './errors/inspect.ts';

export interface DownloadOptions {
  signal: AbortSignal;
  /** Bytes of one range. */
  partSize: number;
  /** Parts in memory or on their way, the one being handed over included. */
  window: number;
}

/** Bytes after which a fault counts as a new one, not as the same one again. */
const PROGRESS_BYTES = 64 * 1024;

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

async function openFirst(connection: Connection, key: string, run: Run): Promise<OpenEntry | undefined> {
  const { signal } = run.cancel;
  const retry = connection.retry(signal);
  for (;;) {
    try {
      const first = await getRange(connection, { key, start: 0, end: run.partSize }, signal);
      const body = new Download(connection, first, run).body();
      return { info: first.info, from: 's3', metadata: first.metadata, body };
    } catch (error) {
      if (isMissing(error)) return undefined;
      if (inspect(error).name === 'InvalidRange') {
        const empty = await lookUpEmpty(connection, key, signal);
        return empty && { info: empty.info, from: 's3', metadata: empty.metadata, body: nothing() };
      }
      await retry.wait(error);
    }
  }
}

async function* nothing(): AsyncGenerator<Uint8Array> {}

interface Run extends DownloadOptions {
  /** Ends every request of this download, and follows the caller's signal. */
  cancel: LinkedAbort;
}

class Download {
  readonly #connection: Connection;
  readonly #first: RangeAnswer;
  readonly #run: Run;
  readonly #parts: PartBuffer[] = [];
  /** Where the next part to be fetched begins. */
  #next = 0;

  constructor(connection: Connection, first: RangeAnswer, run: Run) {
    this.#connection = connection;
    this.#first = first;
    this.#run = run;
    // A server that ignores ranges sends everything in its first answer, which is then the only part.
    this.#start(first.partial ? Math.min(run.partSize, first.info.size) : first.info.size, first);
    this.#fill();
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
      for (let part = this.#parts[0]; part !== undefined; part = this.#parts[0]) {
        yield* part.drain();
        this.#parts.shift();
        this.#fill();
      }
    } catch (error) {
      throw this.#explain(error);
    } finally {
      this.#end();
    }
  }

  #end(): void {
    this.#run.cancel.abort();
    this.#run.cancel.unlink();
  }

  #fill(): void {
    const { size } = this.#first.info;
    while (this.#parts.length < this.#run.window && this.#next < size) {
      this.#start(Math.min(this.#next + this.#run.partSize, size));
    }
  }

  #start(end: number, answer?: RangeAnswer): void {
    const part = new PartBuffer(this.#run.window * this.#run.partSize);
    const start = this.#next;
    this.#parts.push(part);
    this.#next = end;
    this.#fetch({ start, end, part, answer }).then(
      () => part.end(),
      (error: unknown) => {
        // The consumer learns of it now, whichever part it waits for.
        for (const waiting of this.#parts) waiting.fail(error);
        this.#run.cancel.abort();
      },
    );
  }

  async #fetch(range: {
    start: number;
    end: number;
    part: PartBuffer;
    answer: RangeAnswer | undefined;
  }): Promise<void> {
    const { start, end, part } = range;
    const { key, etag } = this.#first.info;
    const { signal } = this.#run.cancel;
    const retry = this.#connection.retry(signal);
    let { answer } = range;
    for (;;) {
      const before = part.received;
      try {
        answer ??= await getRange(this.#connection, { key, start: start + before, end, etag }, signal);
        await this.#receive(answer, { from: start + before, end, part });
        return;
      } catch (error) {
        answer = undefined;
        if (part.received - before >= PROGRESS_BYTES) retry.progressed();
        await retry.wait(error);
      }
    }
  }

  /**
   * Moves one answer's bytes into its part: those before `from` are here already, those after `end` not ours.
   */
  async #receive(
    answer: RangeAnswer,
    { from, end, part }: { from: number; end: number; part: PartBuffer },
  ): Promise<void> {
    const { body } = answer;
    const { stallTimeoutMs } = this.#connection;
    const stalled = (): unknown =>
      body.destroy(new TransferError('stalled', `no byte for ${stallTimeoutMs} ms`));
    let watchdog = setTimeout(stalled, stallTimeoutMs);
    let position = answer.offset;
    let wanted = from;
    try {
      for await (const chunk of body as AsyncIterable<Uint8Array>) {
        watchdog.refresh();
        const begin = Math.max(0, wanted - position);
        const piece = chunk.subarray(begin, Math.max(begin, end - position));
        position += chunk.length;
        wanted += piece.length;
        const behind = piece.length > 0 ? part.push(piece) : undefined;
        if (wanted === end && !answer.partial) break;
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
    if (wanted < end)
      throw new TransferError('reset', `${end - wanted} bytes missing at the end of an answer`);
  }

  #explain(error: unknown): unknown {
    if (this.#run.signal.aborted) return this.#run.signal.reason;
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
