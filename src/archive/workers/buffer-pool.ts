/**
 * Buffers that go to a worker and come back. Fresh memory costs a page fault every 4 KiB; memory that was
 * used before does not.
 */
export interface Memory {
  /**
   * A buffer of that length which owns its memory, though not always alone: there may be more of it behind
   * its end.
   */
  get(length: number): Buffer<ArrayBuffer>;
  /** Takes back what no one uses any more. */
  put(memory: ArrayBuffer): void;
}

/** Sizes are rounded up, so that what comes back fits what is needed next. */
const STEP = 256 * 1024;

/** @param most buffers kept */
export function createMemory(most: number): Memory {
  const spare: ArrayBuffer[] = [];
  return {
    get(length) {
      const fit = spare.findIndex(({ byteLength }) => byteLength >= length);
      const memory =
        fit === -1
          ? Buffer.allocUnsafeSlow(Math.ceil(length / STEP) * STEP).buffer
          : spare.splice(fit, 1)[0]!;
      return Buffer.from(memory, 0, length);
    },
    put(memory) {
      spare.push(memory);
      // The smallest fit the least.
      if (spare.length > most) spare.sort((a, b) => b.byteLength - a.byteLength).pop();
    },
  };
}
