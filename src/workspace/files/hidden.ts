/**
 * Our own directories in somebody's project: homes and bays. Git is told to ignore what is in them.
 * Otherwise `git add -A` during a restore would stage half a tree.
 */
import { lstatSync, mkdirSync, readdirSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CacheError, systemCode } from '../../errors.ts';
import { keepTimes } from './times.ts';

export const IGNORE_FILE = '.gitignore';

/**
 * Makes a directory of our own, and keeps the times of its parent as they were. Does nothing if it exists.
 * @throws CacheError TARGET_REFUSED if the path is something else, in particular a symlink; system errors
 */
export function makeHidden(dir: string): void {
  keepTimes(dirname(dir), () => unlessThere(() => mkdirSync(dir, { mode: 0o700 })));
  if (!lstatSync(dir).isDirectory()) {
    throw new CacheError('TARGET_REFUSED', `${dir} is in the way`, {
      hint: 'Remove it: restores are staged there.',
    });
  }
  ignoreContents(dir);
}

/** Removes what `makeHidden` made, unless somebody else uses it now. */
export function removeHidden(dir: string): void {
  try {
    if (!lstatSync(dir).isDirectory() || readdirSync(dir).some((name) => name !== IGNORE_FILE)) return;
    rmSync(join(dir, IGNORE_FILE), { force: true });
    // Somebody else may have used it between these two calls.
    if (!removeEmpty(dir)) ignoreContents(dir);
  } catch {
    // It is gone, or somebody else is about to remove it.
  }
}

/** Removes a directory, and keeps the times of its parent as they were. @returns false if it is not empty */
export function removeEmpty(dir: string): boolean {
  try {
    keepTimes(dirname(dir), () => rmdirSync(dir));
    return true;
  } catch {
    return false;
  }
}

function ignoreContents(dir: string): void {
  unlessThere(() => writeFileSync(join(dir, IGNORE_FILE), '*\n', { flag: 'wx', mode: 0o600 }));
}

function unlessThere(make: () => void): void {
  try {
    make();
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}
