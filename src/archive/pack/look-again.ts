/**
 * The end of packing, worker half: directories are looked at again, since a file that was added, or put in the place of one
 * that was read before, shows in its directory alone.
 */
import { lstatSync, type Stats } from 'node:fs';
import { fsPath } from '../format/tar-header.ts';
import { isAt, sourceError } from './walk.ts';
import type { Answer } from '../workers/protocol.ts';

export interface LookJob {
  type: 'look';
  /** Absolute, binary string. */
  base: string;
  /** Directories relative to `base`, binary strings, joined by `\0`. */
  dirs: string;
  /** For each its ctime in µs and its inode, as they were when the walk met it. */
  stats: Float64Array;
}

export interface LookReply {
  /** Those that have changed. */
  changed: string[];
}

/** Numbers a directory in `LookJob.stats`. */
export const LOOK_FIELDS = 2;

export function lookAgain({ base, dirs, stats }: LookJob): Answer<LookReply> {
  const changed = dirs.split('\0').filter((dir, n) => {
    const stat = lookAt(base, dir);
    return !isAt(stat.ctimeMs, stats[n * LOOK_FIELDS]!) || stat.ino !== stats[n * LOOK_FIELDS + 1];
  });
  return { reply: { changed }, transfer: [] };
}

function lookAt(base: string, dir: string): Stats {
  try {
    return lstatSync(fsPath(`${base}/${dir}`));
  } catch (error) {
    throw sourceError(dir, error);
  }
}
