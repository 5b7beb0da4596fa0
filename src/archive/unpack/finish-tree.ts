/**
 * The end of unpacking, worker half: what can only be done once all files are there.
 *
 * Hard links come first, while no symlink exists that one could lead through. Symlinks follow; they may point
 * anywhere. Times of directories come last, because everything before changes them.
 */
import { chmodSync, linkSync, lstatSync, lutimesSync, symlinkSync, utimesSync, type Stats } from 'node:fs';
import { refuse, writeError } from '../errors.ts';
import { nameOf } from '../read/entry-names.ts';
import { toSeconds } from './unpack-member.ts';
import type { HandlerResult, BinaryRoot, Link, FinishJob, FinishReply } from '../workers/protocol.ts';
import { fsPath } from '../format/binary-string.ts';

export function finishTree(job: FinishJob): HandlerResult<FinishReply> {
  const { roots, hardlinks = [], symlinks = [], modes = [], times = [] } = job;
  for (const link of hardlinks) makeHardlink(link, roots);
  for (const link of symlinks) makeSymlink(link, roots);
  for (const { target, mtimeUs } of times)
    attempt(target, roots, () => utimesSync(fsPath(target), toSeconds(mtimeUs), toSeconds(mtimeUs)));
  for (const { target, mode } of modes) attempt(target, roots, () => chmodSync(fsPath(target), mode));
  return { reply: {}, transfer: [] };
}

function makeHardlink({ target, to }: Link, roots: readonly BinaryRoot[]): void {
  try {
    linkSync(fsPath(to), fsPath(target));
  } catch (error) {
    const name = nameOf(target, roots);
    if (!isFile(to) && isDirectory(target.slice(0, target.lastIndexOf('/'))))
      throw refuse(name, 'is a hard link to what is no file of this archive');
    throw writeError(name, error);
  }
}

function isFile(path: string): boolean {
  return lookAt(path)?.isFile() === true;
}

function isDirectory(path: string): boolean {
  return lookAt(path)?.isDirectory() === true;
}

function lookAt(path: string): Stats | undefined {
  try {
    return lstatSync(fsPath(path));
  } catch {
    return undefined;
  }
}

function makeSymlink({ target, to, mtimeUs }: Link, roots: readonly BinaryRoot[]): void {
  attempt(target, roots, () => {
    symlinkSync(fsPath(to), fsPath(target));
    lutimesSync(fsPath(target), toSeconds(mtimeUs), toSeconds(mtimeUs));
  });
}

function attempt(target: string, roots: readonly BinaryRoot[], act: () => void): void {
  try {
    act();
  } catch (error) {
    throw writeError(nameOf(target, roots), error);
  }
}
