import { chmodSync, statSync, utimesSync } from 'node:fs';
import { geteuid } from 'node:process';
import { systemCode } from '../../errors.ts';

/**
 * Makes a change in a directory and then restores the directory's times, to the microsecond. This matters
 * because npm discards its hidden lockfile if `node_modules` is newer, and receipts hold times as witnesses.
 * A read-only directory of ours, as in Go's module cache, is made writable for the change.
 */
export function keepTimes<T>(dir: string, change: () => T): T {
  const { atimeNs, mtimeNs } = statSync(dir, { bigint: true });
  try {
    return lendWrite(dir, change);
  } finally {
    setTimes(dir, atimeNs / 1000n, mtimeNs / 1000n);
  }
}

/** @param change must allow a second call after it has failed with EACCES */
function lendWrite<T>(dir: string, change: () => T): T {
  try {
    return change();
  } catch (error) {
    const { mode, uid } = statSync(dir);
    const isLocked = uid === geteuid?.() && (mode & WRITABLE) !== WRITABLE;
    if (systemCode(error) !== 'EACCES' || !isLocked) throw error;
    chmodSync(dir, mode | WRITABLE);
    try {
      return change();
    } finally {
      chmodSync(dir, mode & MODE_BITS);
    }
  }
}

/** What it takes to change a directory: write and search. */
const WRITABLE = 0o300;
const MODE_BITS = 0o7777;

/** Times in microseconds. Does nothing in a directory of somebody else that we may only write to. */
export function setTimes(path: string, atime: bigint, mtime: bigint): void {
  try {
    utimesSync(path, seconds(atime), seconds(mtime));
  } catch (error) {
    if (systemCode(error) !== 'EPERM') throw error;
  }
}

/**
 * As a double, seconds are exact to a quarter of a microsecond. Half a microsecond is added, so that rounding
 * down gives the right one.
 */
function seconds(microseconds: bigint): number {
  return (Number(microseconds) + 0.5) / 1e6;
}
