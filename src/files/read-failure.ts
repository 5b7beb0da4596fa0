import { statSync } from 'node:fs';
import { reasonOf, systemCode } from '../errors.ts';

/** Why a file could not be read, to follow its path in a sentence: `is not a regular file`, `cannot be read (EACCES)`. */
export function readFailure(error: unknown): string {
  const code = systemCode(error);
  if (code === 'ENOTREG') return 'is not a regular file';
  if (code === 'EFBIG') return 'is too large';
  return `cannot be read (${reasonOf(error)})`;
}

/** Whether a path leads to `/dev/null`, which people put where no file shall be. */
export function isNullDevice(path: string): boolean {
  const [found, none] = [path, '/dev/null'].map((name) => statSync(name, { throwIfNoEntry: false }));
  return found?.isCharacterDevice() === true && found.rdev === none?.rdev;
}
