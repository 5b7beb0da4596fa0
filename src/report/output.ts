/**
 * Standard output and standard error. Most runs write one line or none. It goes straight to the file
 * descriptor, because loading Node's streams would cost every start 2 ms.
 */
import { writeSync } from 'node:fs';
import { systemCode } from '../errors.ts';

export interface Output {
  /** Writes all of it. It is no error if the reader has gone (`| head`, a closed terminal). */
  write(text: string): void;
  /** The first error, usually a full disk. What is written after it is lost too. */
  readonly failure: unknown;
  /** Resolves when what was written has left the process. */
  drained(): Promise<void>;
}

/** Errors that mean that nobody reads any more. */
const GONE: ReadonlySet<string> = new Set(['EPIPE', 'EBADF', 'EIO']);

/**
 * @param stream Node's stream for the same descriptor, for the case that another process has made it
 *   non-blocking
 */
export function createOutput(fd: number, stream: () => NodeJS.WritableStream): Output {
  let fallback: NodeJS.WritableStream | undefined;
  let failure: unknown;

  function writeToStream(bytes: Buffer): void {
    fallback ??= stream().on('error', () => {});
    fallback.write(bytes);
  }

  return {
    get failure() {
      return failure;
    },
    write(text) {
      let bytes = Buffer.from(text);
      try {
        while (fallback === undefined && bytes.length > 0) bytes = bytes.subarray(writeSync(fd, bytes));
      } catch (error) {
        const code = systemCode(error);
        if (code !== 'EAGAIN') {
          if (code === undefined || !GONE.has(code)) failure ??= error;
          return;
        }
      }
      if (bytes.length > 0) writeToStream(bytes);
    },
    drained() {
      const written = fallback;
      if (written === undefined || !written.writable) return Promise.resolve();
      return new Promise((resolve) => written.write('', () => resolve()));
    },
  };
}
