/** Types and times of a file, as numbers. */
import { type BigIntStats, lstatSync } from 'node:fs';
import { sourceError, readable } from './errors.ts';
import { CacheError } from '../../errors.ts';
import { fsPath } from '../format/binary-string.ts';

const S_IFMT = 0o170000;

export const S_IFDIR = 0o040000;

export const S_IFREG = 0o100000;

export const S_IFLNK = 0o120000;

export const S_IFSOCK = 0o140000;

export const typeBits = (mode: number): number => mode & S_IFMT;

/** One entry, not followed. @throws CacheError SOURCE_CHANGED, SOURCE_UNREADABLE */
export function lstatEntry(base: string, path: string): BigIntStats {
  try {
    return lstatSync(fsPath(`${base}/${path}`), { bigint: true });
  } catch (error) {
    throw sourceError(path, error);
  }
}

/**
 * The time that a restore writes back, rounded down.
 * @throws CacheError SOURCE_UNREADABLE if an archive cannot hold it to the microsecond
 */
export function mtimeUs(path: string, stat: BigIntStats): number {
  // BigInt division rounds towards zero; times before 1970 are below it.
  const whole = stat.mtimeNs / 1000n;
  const us = Number(stat.mtimeNs < 0n && whole * 1000n !== stat.mtimeNs ? whole - 1n : whole);
  if (Number.isSafeInteger(us)) return us;
  throw new CacheError('SOURCE_UNREADABLE', `${readable(path)} has a time before 1684 or after 2255`, {
    hint: 'Give it a sensible time with touch: no archive of ours can hold this one.',
  });
}

/** For comparison by `isAt`. A double holds these nanoseconds to a quarter of a microsecond. */
export function ctimeUs(stat: BigIntStats): number {
  return Number(stat.ctimeNs) / 1000;
}

/**
 * Whether a time in milliseconds from plain `stat` equals one in microseconds from BigInt `stat`, which costs
 * twice as much. A double holds milliseconds to a quarter of a microsecond.
 */
export function isAt(ms: number, us: number): boolean {
  return Math.abs(ms * 1000 - us - 0.5) <= 1.5;
}
