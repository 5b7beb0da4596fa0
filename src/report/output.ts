/**
 * Standard output and standard error. Most runs write a line or none: it goes straight to the file
 * descriptor, because to load Node's streams for it would cost every start 2 ms.
 */
import { writeSync } from 'node:fs';
import { systemCode } from '../errors.ts';

export interface Output {
  /** Writes all of it. A reader that went away (`| head`, a terminal that was closed) is no failure. */
  write(text: string): void;
  /** The first failure: a full disk, as a rule. What is written after it is lost too. */
  readonly failure: unknown;
  /** Resolves when what was written has left the process. */
  drained(): Promise<void>;
}

/** Nobody reads there. */
const GONE: ReadonlySet<string> = new Set(['EPIPE', 'EBADF', 'EIO']);

/**
 * @param stream the same descriptor as Node has it, for when another process has made it one that does not
 *   wait
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
