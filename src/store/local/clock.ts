import { closeSync, fstatSync, openSync, rmSync } from 'node:fs';
import { temporaryPath } from './layout.ts';

/**
 * What the file system's own clock shows, milliseconds: the one that dates the entries.
 * @returns undefined in a directory that may not be written to, or that holds no entries yet
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
