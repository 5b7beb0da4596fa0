import { mkdirSync, rmdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemCode } from '../errors.ts';
import { keepTimes } from './times.ts';

/** Makes a directory of our own in one whose times are not to tell. Fine if it is there already. */
export function makeHidden(dir: string): void {
  keepTimes(dirname(dir), () => {
    try {
      mkdirSync(dir, { mode: 0o700 });
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw error;
    }
  });
}

/** Removes what `makeHidden` made, unless somebody else uses it by now. */
export function removeHidden(dir: string): void {
  try {
    keepTimes(dirname(dir), () => rmdirSync(dir));
  } catch {
    // In use, or gone.
  }
}
