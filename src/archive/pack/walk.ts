/**
 * Walking a tree: worker half. A job names directories; the answer holds what is in them, and the directories below that
 * the job's budget did not cover, for the main thread to hand out again. Names stay as they are on disk, whatever their
 * encoding: binary strings, one character a byte.
 */
import { lstatSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { type CompiledFile, readCompiledFile } from '../../compiled/compiled-file.ts';
import { CacheError, systemCode } from '../../errors.ts';
import { isOutOfFiles, MORE_FILES_HINT } from '../../files/read-failure.ts';
import { fsPath } from '../format/tar-header.ts';
import { createExcluder } from './excludes.ts';
import type { Answer } from '../workers/protocol.ts';

export interface WalkJob {
  type: 'walk';
  /** Absolute, binary string. */
  base: string;
  /** Directories to list, relative to `base`, `/`-separated, binary strings. */
  dirs: string[];
  excludes: readonly string[];
  /** Entries after which directories not yet listed are handed back. */
  budget: number;
  /** Whether to look into compiled files. @default false */
  lookInside?: boolean;
}

export interface WalkReply {
  /** Directories listed: the entries of `dirs[n]` are the next `counts[n]` of all. */
  dirs: string[];
  counts: number[];
  /** Names of all entries, joined by `\0`: one string crosses threads faster than many. */
  names: string;
  /** `STAT_FIELDS` numbers an entry, see there. */
  stats: Float64Array;
  /** Device and inode of each entry marked `SHARED`, in order. Text: inode numbers of overlayfs exceed 53 bits. */
  inodes: string[];
  /** Where symlinks point, in the order of their entries. */
  linkTargets: string[];
  /** Directories met but not listed. */
  rest: string[];
  compiled: CompiledFile[];
}

/** Numbers an entry: mode with type bits (and `SHARED`), size, mtime and ctime in µs, inode (rounded beyond 53 bits). */
export const STAT_FIELDS = 5;
export const MODE = 0;
export const SIZE = 1;
export const MTIME = 2;
export const CTIME = 3;
export const INODE = 4;
/** Set in the mode of a file that has several links. */
export const SHARED = 0x10000;

const S_IFMT = 0o170000;
export const S_IFDIR = 0o040000;
export const S_IFREG = 0o100000;
export const S_IFLNK = 0o120000;
const S_IFSOCK = 0o140000;
export const typeBits = (mode: number): number => mode & S_IFMT;

export function walk(job: WalkJob): Answer<WalkReply> {
  const excluder = createExcluder(job.excludes);
  const reply: WalkReply = {
    dirs: [],
    counts: [],
    names: '',
    stats: EMPTY,
    inodes: [],
    linkTargets: [],
    rest: [],
    compiled: [],
  };
  const names: string[] = [];
  const stats: number[] = [];
  const queue = [...job.dirs];
  for (let dir = queue.pop(); dir !== undefined; dir = queue.pop()) {
    if (names.length >= job.budget) {
      reply.rest.push(dir);
      continue;
    }
    const before = names.length;
    list(dir);
    reply.dirs.push(dir);
    reply.counts.push(names.length - before);
  }
  reply.names = names.join('\0');
  reply.stats = Float64Array.from(stats);
  return { reply, transfer: [reply.stats.buffer as ArrayBuffer] };

  function list(dir: string): void {
    for (const name of readNames(job.base, dir)) {
      const path = `${dir}/${name}`;
      if (excluder?.(path)) continue;
      const stat = lstatEntry(job.base, path);
      const mode = Number(stat.mode);
      // As tar does: a socket is nothing without the process that listens.
      if (typeBits(mode) === S_IFSOCK) continue;
      const shared = stat.nlink > 1n && typeBits(mode) === S_IFREG;
      names.push(name);
      stats.push(
        shared ? mode | SHARED : mode,
        Number(stat.size),
        mtimeUs(path, stat),
        ctimeUs(stat),
        Number(stat.ino),
      );
      if (shared) reply.inodes.push(`${stat.dev}:${stat.ino}`);
      if (typeBits(mode) === S_IFDIR) queue.push(path);
      else if (typeBits(mode) === S_IFLNK) reply.linkTargets.push(readLink(job.base, path));
      else if (typeBits(mode) !== S_IFREG) throw special(path, mode);
      else if (job.lookInside === true) {
        const file = readCompiledFile(fsPath(`${job.base}/${path}`), { name, mode });
        if (file !== undefined) reply.compiled.push(file);
      }
    }
  }
}

/** One entry, not followed. @throws CacheError SOURCE_CHANGED, SOURCE_UNREADABLE */
export function lstatEntry(base: string, path: string): BigIntStats {
  try {
    return lstatSync(fsPath(`${base}/${path}`), { bigint: true });
  } catch (error) {
    throw sourceError(path, error);
  }
}

/**
 * What a restore writes back, rounded down.
 * @throws CacheError SOURCE_UNREADABLE when it is beyond what an archive can hold to the microsecond
 */
export function mtimeUs(path: string, stat: BigIntStats): number {
  // BigInt division rounds towards zero; times before 1970 are below it.
  const whole = stat.mtimeNs / 1000n;
  const us = Number(stat.mtimeNs < 0n && whole * 1000n !== stat.mtimeNs ? whole - 1n : whole);
  if (Number.isSafeInteger(us)) return us;
  throw new CacheError('SOURCE_UNREADABLE', `${readable(path)} has a time before 1684 or after 2255`, {
    hint: 'Give it a sensible time with touch: no archive of ours can hold this one',
  });
}

/** To compare with by `isAt`: as a double, nanoseconds are exact to a quarter of a microsecond. */
export function ctimeUs(stat: BigIntStats): number {
  return Number(stat.ctimeNs) / 1000;
}

/**
 * Whether the milliseconds of plain statistics are the microseconds that BigInt ones gave, which cost twice as much. A double
 * holds milliseconds to a quarter of a microsecond.
 */
export function isAt(ms: number, us: number): boolean {
  return Math.abs(ms * 1000 - us - 0.5) <= 1.5;
}

/** What a failed read says about the tree: gone is a change, anything else cannot be read. */
export function sourceError(path: string, error: unknown): Error {
  if (error instanceof CacheError) return error;
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error : new Error(String(error));
  if (code === 'ENOENT') return changed(path, 'vanished', error);
  if (BECAME_ANOTHER.has(code)) return changed(path, 'changed', error);
  return new CacheError('SOURCE_UNREADABLE', `${readable(path)} cannot be read (${code})`, {
    hint: isOutOfFiles(error) ? MORE_FILES_HINT : 'Make it readable for this user, or remove it',
    cause: error,
  });
}

export function changed(path: string, how: 'changed' | 'vanished' | 'appeared', cause?: unknown): CacheError {
  return new CacheError('SOURCE_CHANGED', `${readable(path)} ${how} while it was being packed`, {
    hint: 'Nothing was saved. Save again once the installer is done',
    cause,
  });
}

/** A binary string as text for people. */
function readable(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

function readNames(base: string, dir: string): string[] {
  try {
    return readdirSync(fsPath(`${base}/${dir}`), { encoding: 'latin1' });
  } catch (error) {
    throw sourceError(dir, error);
  }
}

function readLink(base: string, path: string): string {
  try {
    return readlinkSync(fsPath(`${base}/${path}`), { encoding: 'latin1' });
  } catch (error) {
    throw sourceError(path, error);
  }
}

/**
 * Fifos and devices mean nothing on another machine, and no package manager installs any: packing stops rather than leaving
 * them out in silence.
 */
function special(path: string, mode: number): CacheError {
  const what = typeBits(mode) === 0o010000 ? 'a fifo' : 'a device';
  return new CacheError('SOURCE_UNREADABLE', `${readable(path)} is ${what}, which an archive cannot hold`, {
    hint: 'Remove it: package managers install none',
  });
}

/** What opening says of a file that is now a directory, a symlink or a socket, or of one below such a thing. */
const BECAME_ANOTHER: ReadonlySet<string> = new Set(['ENOTDIR', 'EISDIR', 'ELOOP', 'ENXIO']);
const EMPTY = new Float64Array(0);
