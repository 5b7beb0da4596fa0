/**
 * A stream that one side writes and the other iterates. With it, bytes that are on their way to one place are
 * also written to a second one.
 */
export class Relay {
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  #outcome: { error?: unknown } | undefined;
  /** The reader has stopped. What is pushed from then on is dropped. */
  #closed = false;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  readonly #limit: number;

  /** @param limit bytes held before `push` has to wait */
  constructor(limit: number) {
    this.#limit = limit;
  }

  async push(chunk: Uint8Array): Promise<void> {
    if (this.#closed || this.#outcome !== undefined) return;
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.#wakeReader?.();
    if (this.#buffered >= this.#limit) await new Promise<void>((resolve) => (this.#wakeWriter = resolve));
  }

  end(): void {
    this.#settle({});
  }

  fail(error: unknown): void {
    this.#settle({ error });
  }

  /** Called when nobody reads any more. */
  close(): void {
    this.#closed = true;
    this.#chunks = [];
    this.#wakeWriter?.();
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const chunk = this.#chunks.shift();
        if (this.#outcome !== undefined && 'error' in this.#outcome) throw this.#outcome.error;
        if (chunk !== undefined) {
          yield chunk;
          this.#buffered -= chunk.length;
          if (this.#buffered < this.#limit) this.#wakeWriter?.();
        } else if (this.#outcome !== undefined) {
          return;
        } else {
          await new Promise<void>((resolve) => (this.#wakeReader = resolve));
        }
      }
    } finally {
      this.close();
    }
  }

  #settle(outcome: { error?: unknown }): void {
    this.#outcome ??= outcome;
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }
}
