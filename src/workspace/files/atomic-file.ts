import { randomBytes } from 'node:crypto';
import { closeSync, fchmodSync, openSync, renameSync, unlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** The names of files that are being written begin with this. Only a kill leaves one behind. */
export const UNFINISHED = '.sandbox-cache-new-';

/**
 * Writes a file under a new name and renames it into place. Readers see the old content or the new. A symlink
 * at `path` is replaced, not followed. The mode does not depend on the umask.
 */
export function replaceFile(path: string, text: string, mode: number): void {
  const unfinished = join(dirname(path), `${UNFINISHED}${randomBytes(6).toString('hex')}`);
  try {
    const fd = openSync(unfinished, 'wx', mode);
    try {
      fchmodSync(fd, mode);
      writeFileSync(fd, text);
    } finally {
      closeSync(fd);
    }
    renameSync(unfinished, path);
  } catch (error) {
    try {
      unlinkSync(unfinished);
    } catch {
      // It was not made, or it cannot be removed for the same reason, which is thrown below.
    }
    throw error;
  }
}
