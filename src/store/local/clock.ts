import { closeSync, fstatSync, openSync, rmSync } from 'node:fs';
import { temporaryPath } from './layout.ts';

/**
 * The time by the file system's own clock, which dates the entries. Milliseconds.
 * @returns undefined if the directory is not writable, or has no entries yet
 */
export function fileSystemTime(dir: string): number | undefined {
  const path = temporaryPath(dir);
  let fd: number | undefined;
  try {
    fd = openSync(path, 'wx', 0o600);
    return fstatSync(fd).mtimeMs;
  } catch {
    return undefined;
  } finally {
    if (fd !== undefined) {
      closeSync(fd);
      rmSync(path, { force: true });
    }
  }
}
