/**
 * Reads a file that somebody else may have made: a lockfile of a checkout, a manifest of a restored tree, a
 * lease in a shared directory, a key that a variable names. Such a path may hold a FIFO, a device, a link to
 * `/dev/zero` or gigabytes. An ordinary read of those never returns, or fills the memory.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type BigIntStats } from 'node:fs';

export interface ReadLimits {
  /** A larger file is an error. Bytes. */
  maxBytes: number;
  /**
   * Whether the path itself may be a symbolic link. Links among its parent directories are always followed.
   * @default true
   */
  followLinks?: boolean;
}

export interface SmallFile {
  bytes: Buffer;
  /** Of the very file that was read, whatever its path names by now. */
  stat: BigIntStats;
}

/**
 * Reads a whole regular file without ever waiting for a writer.
 * @throws a system error (`ENOENT`, `EACCES`, …); `ELOOP` for a link that must not be followed; an error of
 *   the same form with the code `ENOTREG` for anything but a regular file, `EFBIG` beyond `maxBytes`
 */
export function readSmallFile(path: string, { maxBytes, followLinks = true }: ReadLimits): SmallFile {
  // O_NONBLOCK: opening a FIFO returns at once. It has no effect on regular files.
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (followLinks ? 0 : constants.O_NOFOLLOW);
  const fd = openSync(path, flags);
  try {
    const stat = fstatSync(fd, { bigint: true });
    if (!stat.isFile()) throw refusal('ENOTREG', `${path} is not a regular file`);
    if (stat.size > BigInt(maxBytes)) throw tooLarge(path, maxBytes);
    return { bytes: readAll(fd, path, Number(stat.size), maxBytes), stat };
  } finally {
    closeSync(fd);
  }
}

/** The file's text, as UTF-8. See `readSmallFile`. */
export function readSmallText(path: string, limits: ReadLimits): string {
  return readSmallFile(path, limits).bytes.toString('utf8');
}

/** Reads to the real end: files of /proc have a size of 0, and a file may grow or shrink meanwhile. */
function readAll(fd: number, path: string, size: number, maxBytes: number): Buffer {
  let buffer = Buffer.allocUnsafe(Math.min(size, maxBytes) + 1);
  let length = 0;
  for (;;) {
    if (length === buffer.length) {
      if (length > maxBytes) throw tooLarge(path, maxBytes);
      const larger = Buffer.allocUnsafe(Math.min(Math.max(length * 2, 4096), maxBytes + 1));
      buffer.copy(larger, 0, 0, length);
      buffer = larger;
    }
    const read = readSync(fd, buffer, length, buffer.length - length, null);
    if (read === 0) return buffer.subarray(0, length);
    length += read;
  }
}

function tooLarge(path: string, maxBytes: number): Error {
  return refusal('EFBIG', `${path} is larger than ${maxBytes} bytes`);
}

function refusal(code: 'ENOTREG' | 'EFBIG', message: string): Error {
  return Object.assign(new Error(message), { code });
}
