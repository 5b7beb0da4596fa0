/**
 * Memory that is reused. The kernel has to clear fresh memory, and that stays until the garbage collector
 * runs.
 * @returns a function that returns this many bytes, with arbitrary content, valid until its next call
 */
export function createScratch(): (length: number) => Buffer {
  let memory = Buffer.alloc(0);
  return (length) => {
    if (memory.length < length) memory = Buffer.allocUnsafeSlow(Math.ceil(length / STEP) * STEP);
    return memory.subarray(0, length);
  };
}

const STEP = 1024 * 1024;
