/**
 * The end of packing, worker half. Directories are checked again, because only the directory shows that a
 * file was added, or that one was replaced after it had been read.
 */
import { lstatSync, type Stats } from 'node:fs';
import { type HandlerResult, type LookJob, type LookReply, LOOK_FIELDS } from '../workers/protocol.ts';
import { sourceError } from './errors.ts';
import { isAt } from './stat.ts';
import { fsPath } from '../format/binary-string.ts';

export function lookAgain({ base, dirs, stats }: LookJob): HandlerResult<LookReply> {
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
