/**
 * The commit itself: one rename sets the old tree aside, another puts the new tree in place. A move is in one
 * of four states, and the file system shows which: nothing done (the new tree is staged, nothing is set
 * aside), old tree set aside, new tree in place, or somebody has installed since, and we leave their tree
 * alone. So undoing and finishing need no record of progress. They may be interrupted and repeated at any
 * point.
 */
import {
  lstatSync,
  renameSync,
  chmodSync,
  writeFileSync,
  readdirSync,
  unlinkSync,
  rmdirSync,
  accessSync,
  constants,
} from 'node:fs';
import { geteuid } from 'node:process';
import { CacheError, systemCode } from '../../errors.ts';
import type { NamedMove, TreeChange } from './journal.ts';
import { childPath, removeTree, type Path } from '../files/removal.ts';
import { setTimes } from '../files/times.ts';
import { exists } from '../files/exists.ts';

/** A tree's change with the paths it means on this machine. */
export interface StagedTree {
  change: TreeChange;
  /** The target's real path. */
  place: string;
  /** Where the new tree, or its children, come from. */
  fresh: string;
  /** Where the old one goes. */
  old: string;
}

/**
 * Swaps what can be swapped. Moves whose old tree cannot be set aside become `doomed` and are left for
 * `finish`.
 * @throws the first system error; then `undo` puts everything back
 */
export function swap(trees: readonly StagedTree[]): void {
  for (const tree of trees) {
    for (const move of tree.change.moves) {
      const { place, fresh, old } = pathsOf(tree, move);
      if (move.goes && !setAside(place, old)) {
        move.doomed = true;
        continue;
      }
      // Nothing may stand between these two renames: a kill between them leaves no tree at all until the next
      // run.
      if (move.comes) moveTree(fresh, place);
    }
    setFinalTimes(tree);
  }
}

/** Whether every move is done. */
export function isDone(trees: readonly StagedTree[]): boolean {
  return trees.every((tree) =>
    tree.change.moves.every((move) => {
      const { fresh, old } = pathsOf(tree, move);
      return move.comes ? !exists(fresh) : exists(old);
    }),
  );
}

/** Puts back whatever has been moved. */
export function undo(trees: readonly StagedTree[]): void {
  for (const tree of [...trees].reverse()) {
    for (const move of [...tree.change.moves].reverse()) {
      const { place, fresh, old } = pathsOf(tree, move);
      if (move.comes && !exists(fresh) && exists(place)) moveTree(place, fresh);
      // If something is in place now, somebody has installed it since. It is newer, so it stays.
      if (move.goes && exists(old) && !exists(place)) moveTree(old, place);
    }
    const { times } = tree.change;
    if (times !== undefined && exists(tree.place))
      setTimes(tree.place, BigInt(times.before), BigInt(times.before));
  }
}

/**
 * Marks a directory that we are deleting, and is removed last. If the mark is missing, somebody else has
 * created the directory anew.
 */
const DOOMED = '.sandbox-cache-doomed';

/**
 * Makes sure that `finish` will not get stuck half-way, and marks what it is to delete.
 * @throws CacheError TARGET_UNWRITABLE; a system error when the disk is full
 */
export function prepareToFinish(trees: readonly StagedTree[]): void {
  const doomed = doomedPlaces(trees).filter((place) => lstatSync(place).isDirectory());
  for (const place of doomed) requireRemovable(place);
  for (const place of doomed) writeFileSync(childPath(place, Buffer.from(DOOMED)), '', { mode: 0o600 });
}

/** Takes back what `prepareToFinish` has done. */
export function unmark(trees: readonly StagedTree[]): void {
  for (const place of trees.flatMap((tree) => tree.change.moves.map((move) => pathsOf(tree, move).place))) {
    try {
      unlinkSync(childPath(place, Buffer.from(DOOMED)));
    } catch (error) {
      if (systemCode(error) !== 'ENOENT' && systemCode(error) !== 'ENOTDIR') throw error;
    }
  }
}

/** Deletes what could not be set aside, and puts the new trees in place. Can be repeated, but not undone. */
export async function finish(trees: readonly StagedTree[]): Promise<void> {
  for (const tree of trees) {
    for (const move of tree.change.moves) {
      if (!move.doomed) continue;
      const { place, fresh } = pathsOf(tree, move);
      if (move.comes && !exists(fresh)) continue;
      if (!(await removeDoomed(place))) continue;
      if (move.comes) moveTree(fresh, place);
    }
    setFinalTimes(tree);
  }
}

/** @returns false when somebody has put something else there */
async function removeDoomed(place: Path): Promise<boolean> {
  const stat = lstatSync(place, { throwIfNoEntry: false });
  if (stat === undefined) return true;
  if (!stat.isDirectory()) return false;
  const names = readdirSync(place, { encoding: 'buffer' });
  const isMark = (name: Buffer): boolean => name.toString('latin1') === DOOMED;
  if (names.length > 0 && !names.some(isMark)) return false;
  for (const name of names) if (!isMark(name)) await removeTree(childPath(place, name));
  await removeTree(childPath(place, Buffer.from(DOOMED)));
  rmdirSync(place);
  return true;
}

function doomedPlaces(trees: readonly StagedTree[]): Path[] {
  return trees.flatMap((tree) =>
    tree.change.moves.filter(({ doomed }) => doomed).map((move) => pathsOf(tree, move).place),
  );
}

/** Walks the directories only: a tree of 84,000 files has 9,000. */
function requireRemovable(dir: Path): void {
  const stat = lstatSync(dir);
  if (stat.uid !== geteuid?.()) {
    try {
      accessSync(dir, constants.W_OK | constants.X_OK);
    } catch (cause) {
      throw new CacheError(
        'TARGET_UNWRITABLE',
        `Cannot replace ${dir.toString()}: it belongs to another user`,
        {
          hint: 'Run as the user that owns it, or make it writable in the image.',
          cause,
        },
      );
    }
  }
  for (const entry of readdirSync(dir, { withFileTypes: true, encoding: 'latin1' })) {
    if (entry.isDirectory()) requireRemovable(childPath(dir, Buffer.from(entry.name, 'latin1')));
  }
}

function setFinalTimes({ change: { times }, place }: StagedTree): void {
  if (times !== undefined) setTimes(place, BigInt(times.after), BigInt(times.after));
}

function pathsOf(
  { place, fresh, old }: StagedTree,
  { name }: NamedMove,
): { place: Path; fresh: Path; old: Path } {
  if (name === '') return { place, fresh, old };
  const child = Buffer.from(name, 'latin1');
  return { place: childPath(place, child), fresh: childPath(fresh, child), old: childPath(old, child) };
}

/** @returns false if the file system cannot: overlayfs does not rename directories of a lower layer */
function setAside(place: Path, old: Path): boolean {
  try {
    moveTree(place, old);
    return true;
  } catch (error) {
    if (systemCode(error) === 'EXDEV') return false;
    throw error;
  }
}

/**
 * Moving a directory to another parent needs write permission on the directory itself. If it is ours and not
 * writable, it is made writable for the move.
 */
function moveTree(from: Path, to: Path): void {
  try {
    renameSync(from, to);
  } catch (error) {
    const stat = lstatSync(from, { throwIfNoEntry: false });
    const isLocked = stat?.isDirectory() === true && stat.uid === geteuid?.() && (stat.mode & 0o200) === 0;
    if (systemCode(error) !== 'EACCES' || !isLocked) throw error;
    chmodSync(from, stat.mode | 0o200);
    try {
      renameSync(from, to);
    } catch (failure) {
      chmodSync(from, stat.mode);
      throw failure;
    }
    chmodSync(to, stat.mode);
  }
}
