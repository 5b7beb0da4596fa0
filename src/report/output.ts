/**
 * Standard output and standard error. Most runs write a line or none: it goes straight to the file descriptor, because to load
 * Node's streams for it would cost every start 2 ms.
 */
import { writeSync } from 'node:fs';
import { systemCode } from '../errors.ts';

export interface Output {
  /** Writes all of it. A reader that went away (`| head`) is no failure. */
  write(text: string): void;
  /** Resolves when what was written has left the process. */
  drained(): Promise<void>;
}

/** @param stream the same descriptor as Node has it, for when another process has made it one that does not wait */
export function createOutput(fd: number, stream: () => NodeJS.WritableStream): Output {
  let fallback: NodeJS.WritableStream | undefined;

  function writeToStream(bytes: Buffer): void {
    fallback ??= stream().on('error', () => {});
    fallback.write(bytes);
  }

  return {
    write(text) {
      let bytes = Buffer.from(text);
      try {
        while (fallback === undefined && bytes.length > 0) bytes = bytes.subarray(writeSync(fd, bytes));
      } catch (error) {
        const code = systemCode(error);
        if (code === 'EPIPE' || code === 'EBADF') return;
        if (code !== 'EAGAIN') throw error;
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
