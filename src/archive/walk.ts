/**
 * Walking a tree: worker half. A job names directories; the answer holds what is in them, and the directories below that
 * the job's budget did not cover, for the main thread to hand out again. Names stay as they are on disk, whatever their
 * encoding: binary strings, one character a byte.
 */
import { lstatSync, readdirSync, readlinkSync, type BigIntStats } from 'node:fs';
import { CacheError, systemCode } from '../errors.ts';
import { fsPath } from './format/tar-header.ts';
import { createExcluder } from './excludes.ts';
import type { Answer } from './protocol.ts';

export interface WalkJob {
  type: 'walk';
  /** Absolute, binary string. */
  base: string;
  /** Directories to list, relative to `base`, `/`-separated, binary strings. */
  dirs: string[];
  excludes: readonly string[];
  /** Entries after which directories not yet listed are handed back. */
  budget: number;
}

export interface WalkReply {
  /** Directories listed: the entries of `dirs[n]` are the next `counts[n]` of all. */
  dirs: string[];
  counts: number[];
  /** Names of all entries, joined by `\0`: one string crosses threads faster than many. */
  names: string;
  /** `STAT_FIELDS` numbers an entry: mode with type bits (and `SHARED`), size, mtime in µs. */
  stats: Float64Array;
  /** Device and inode of each entry marked `SHARED`, in order. Text: inode numbers of overlayfs exceed 53 bits. */
  inodes: string[];
  /** Where symlinks point, in the order of their entries. */
  linkTargets: string[];
  /** Directories met but not listed. */
  rest: string[];
}

export const STAT_FIELDS = 3;
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
      stats.push(shared ? mode | SHARED : mode, Number(stat.size), mtimeUs(stat));
      if (shared) reply.inodes.push(`${stat.dev}:${stat.ino}`);
      if (typeBits(mode) === S_IFDIR) queue.push(path);
      else if (typeBits(mode) === S_IFLNK) reply.linkTargets.push(readLink(job.base, path));
      else if (typeBits(mode) !== S_IFREG) throw special(path, mode);
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

/** Rounded down: what a restore writes back and compares. */
export function mtimeUs(stat: BigIntStats): number {
  // BigInt division rounds towards zero; times before 1970 are below it.
  const us = stat.mtimeNs / 1000n;
  return Number(stat.mtimeNs < 0n && us * 1000n !== stat.mtimeNs ? us - 1n : us);
}

/** What a failed read says about the tree: gone is a change, anything else cannot be read. */
export function sourceError(path: string, error: unknown): Error {
  if (error instanceof CacheError) return error;
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error : new Error(String(error));
  if (code === 'ENOENT') return changed(path, 'vanished', error);
  if (BECAME_ANOTHER.has(code)) return changed(path, 'changed', error);
  return new CacheError('SOURCE_UNREADABLE', `${readable(path)} cannot be read (${code})`, {
    hint: 'Make it readable for this user, or remove it',
    cause: error,
  });
}

export function changed(path: string, how: 'changed' | 'vanished', cause?: unknown): CacheError {
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
