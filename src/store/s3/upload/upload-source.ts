/**
 * The body of an upload as lib-storage wants it. Unlike `Readable.from` it can be destroyed while its source
 * is stuck, which is what lets an upload be aborted at any moment; the source is then told, and not waited
 * for.
 */
import { Readable } from 'node:stream';
import type { Chunk } from '../../../async/chunks.ts';
import { CacheError } from '../../../errors.ts';

export class UploadSource extends Readable {
  /** Bytes handed on. Not `size`: lib-storage would take that for the length of the whole. */
  taken = 0;
  readonly #source: AsyncIterator<Chunk>;

  readonly #limit: number;

  /**
   * @param limit the most bytes that can be stored
   * @param keepsChunks whether to hand on the chunks as they are
   */
  constructor(body: AsyncIterable<Chunk>, limit: number, { keepsChunks = false } = {}) {
    super({ objectMode: keepsChunks, ...(keepsChunks ? { highWaterMark: 1 } : {}) });
    this.#limit = limit;
    this.#source = body[Symbol.asyncIterator]();
    // Whoever destroys it knows why; nobody may be reading at that moment.
    this.on('error', () => {});
  }

  override _read(): void {
    this.#source.next().then(
      ({ done, value }) => {
        if (this.destroyed) return;
        if (done === true) {
          this.push(null);
        } else if (value.length === 0) {
          this._read();
        } else {
          this.taken += value.length;
          if (this.taken > this.#limit) this.destroy(tooLarge(this.#limit));
          else this.push(value);
        }
      },
      (error: unknown) => this.destroy(error instanceof Error ? error : new Error(String(error))),
    );
  }

  override _destroy(error: Error | null, callback: (error: Error | null) => void): void {
    if (error !== null) this.#tellSource();
    callback(error);
  }

  #tellSource(): void {
    this.#source.return?.().catch(() => {});
  }
}

function tooLarge(limit: number): CacheError {
  return new CacheError(
    'STORE_FAILED',
    `The entry is larger than ${Math.floor(limit / 2 ** 30)} GiB, the most one upload takes`,
    {
      hint: 'Leave out what need not be cached, or split the directories over several recipes.',
    },
  );
}
