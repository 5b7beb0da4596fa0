import { statSync, utimesSync } from 'node:fs';
import { systemCode } from '../errors.ts';

/**
 * Makes a change in a directory without its times showing it: npm discards its hidden lockfile when `node_modules` is
 * newer, and receipts hold times as witnesses. Exact to the microsecond.
 */
export function keepTimes<T>(dir: string, change: () => T): T {
  const { atimeNs, mtimeNs } = statSync(dir, { bigint: true });
  try {
    return change();
  } finally {
    setTimes(dir, atimeNs / 1000n, mtimeNs / 1000n);
  }
}

/** Times in microseconds. Does nothing in a directory of somebody else that we may only write to. */
export function setTimes(path: string, atime: bigint, mtime: bigint): void {
  try {
    utimesSync(path, seconds(atime), seconds(mtime));
  } catch (error) {
    if (systemCode(error) !== 'EPERM') throw error;
  }
}

/** As a double, seconds are exact to a quarter of a microsecond: aim at the middle, so that cutting off gives the whole one. */
function seconds(microseconds: bigint): number {
  return (Number(microseconds) + 0.5) / 1e6;
}
