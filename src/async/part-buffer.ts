/** One part of a download, between the connection that fills it and the consumer that empties it. */
export class PartBuffer {
  /** Bytes taken in so far. */
  received = 0;
  #chunks: Uint8Array[] = [];
  #buffered = 0;
  #ended = false;
  #failure: { error: unknown } | undefined;
  #wakeReader: (() => void) | undefined;
  #wakeWriter: (() => void) | undefined;
  readonly #limit: number;

  /** @param limit bytes held before the writer has to wait */
  constructor(limit: number) {
    this.#limit = limit;
  }

  /** @returns a promise to wait for if the consumer has fallen behind */
  push(chunk: Uint8Array): Promise<void> | undefined {
    this.#chunks.push(chunk);
    this.#buffered += chunk.length;
    this.received += chunk.length;
    this.#wakeReader?.();
    if (this.#buffered < this.#limit) return undefined;
    return new Promise((resolve) => (this.#wakeWriter = resolve));
  }

  end(): void {
    this.#ended = true;
    this.#wakeReader?.();
  }

  /** The first failure counts. */
  fail(error: unknown): void {
    this.#failure ??= { error };
    this.#wakeReader?.();
    this.#wakeWriter?.();
  }

  async *drain(): AsyncGenerator<Uint8Array> {
    for (;;) {
      if (this.#failure !== undefined) throw this.#failure.error;
      const chunks = this.#chunks;
      this.#chunks = [];
      for (const chunk of chunks) {
        yield chunk;
        this.#buffered -= chunk.length;
        if (this.#buffered < this.#limit) this.#wakeWriter?.();
      }
      if (chunks.length > 0) continue;
      if (this.#ended) return;
      await new Promise<void>((resolve) => (this.#wakeReader = resolve));
    }
  }
}
