/**
 * Memory that is used again and again. The kernel has to clear fresh memory, and it stays until the garbage
 * collector comes by.
 * @returns a function that answers with so many bytes, with anything in them, valid until its next call
 */
export function createScratch(): (length: number) => Buffer {
  let memory = Buffer.alloc(0);
  return (length) => {
    if (memory.length < length) memory = Buffer.allocUnsafeSlow(Math.ceil(length / STEP) * STEP);
    return memory.subarray(0, length);
  };
}

const STEP = 1024 * 1024;
