import { statSync } from 'node:fs';
import { reasonOf, systemCode } from '../errors.ts';

/**
 * Why a file could not be read, to follow its path in a sentence: `is not a regular file`, `cannot be read
 * (EACCES)`.
 */
export function readError(error: unknown): string {
  const code = systemCode(error);
  if (code === 'ENOTREG') return 'is not a regular file';
  if (code === 'EFBIG') return 'is too large';
  if (isOutOfFiles(error)) return 'cannot be read: too many files are open';
  return `cannot be read (${reasonOf(error)})`;
}

/** The limit of this process (`ulimit -n`), or of the whole machine: nothing is wrong with the file. */
export function isOutOfFiles(error: unknown): boolean {
  const code = systemCode(error);
  return code === 'EMFILE' || code === 'ENFILE';
}

export const MORE_FILES_HINT = 'Raise the limit (ulimit -n).';

/** Whether a path leads to `/dev/null`, which people use in place of a file that should not exist. */
export function isNullDevice(path: string): boolean {
  const [found, none] = [path, '/dev/null'].map((name) => statSync(name, { throwIfNoEntry: false }));
  return found?.isCharacterDevice() === true && found.rdev === none?.rdev;
}
