/**
 * Walking a tree, worker half. A job names directories. The reply holds what is in them, and the directories
 * below for which the job's budget was not enough; the main thread gives these out again. Names stay as they
 * are on disk, whatever their encoding: binary strings, one character a byte.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { readCompiledFile } from '../../compiled/compiled-file.ts';
import { CacheError } from '../../errors.ts';
import { createExcluder } from './excludes.ts';
import { type HandlerResult, type WalkJob, type WalkReply, SHARED } from '../workers/protocol.ts';
import { sourceError, readable } from './errors.ts';
import { S_IFDIR, S_IFREG, S_IFLNK, S_IFSOCK, typeBits, lstatEntry, mtimeUs, ctimeUs } from './stat.ts';
import { fsPath } from '../format/binary-string.ts';

export function walk(job: WalkJob): HandlerResult<WalkReply> {
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
      // Skipped, as tar does: a socket is useless without the process that listens.
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
 * Fifos and devices mean nothing on another machine, and no package manager installs them. Packing stops,
 * because leaving them out silently would be wrong.
 */
function special(path: string, mode: number): CacheError {
  const what = typeBits(mode) === 0o010000 ? 'a fifo' : 'a device';
  return new CacheError('SOURCE_UNREADABLE', `${readable(path)} is ${what}, which an archive cannot hold`, {
    hint: 'Remove it: package managers install none.',
  });
}
const EMPTY = new Float64Array(0);
