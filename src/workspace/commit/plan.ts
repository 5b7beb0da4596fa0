import { chmodSync, lstatSync, mkdirSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { CacheError } from '../../errors.ts';
import { INSIDE } from '../places/bays.ts';
import type { NamedMove, TreeChange } from './journal.ts';
import type { StagedTree } from './moves.ts';
import type { Place } from '../places/places.ts';
import { toTree } from './recovery.ts';
import { keepTimes } from '../files/times.ts';
import { exists } from '../files/exists.ts';

interface Planned {
  slot: number;
  /** Whether the entry has it. */
  comes: boolean;
  /** The run's directory in the place's bay. */
  runDir: string;
}

/**
 * Lists the moves that turn a target, as it is now, into what is staged for it.
 * @throws CacheError TARGET_REFUSED; system errors
 */
export function planChange(place: Place, { slot, comes, runDir }: Planned): StagedTree {
  const { target, path, how, bay } = place;
  const change: TreeChange = { target, bay, slot, moves: [] };
  const tree = toTree(change, path, runDir);
  if (comes && !exists(tree.fresh)) throw new Error(`${target} was not unpacked`);
  if (how === 'alias') {
    if (!comes) return tree;
    throw new CacheError('TARGET_REFUSED', `${target} is a link into another directory of the entry`, {
      hint: 'The entry has its own: remove the link, or save the tree again as it is here.',
    });
  }
  if (comes) refuseOtherKind(place, tree.fresh);
  if (how === 'rename') {
    const goes = exists(path);
    if (goes || comes) change.moves.push({ name: '', goes, comes, doomed: false });
    return tree;
  }
  change.moves = childMoves(place, comes ? tree.fresh : undefined);
  change.times = { before: microseconds(path), after: microseconds(comes ? tree.fresh : path) };
  mkdirSync(tree.old, { mode: 0o700 });
  // Without this its children could not be moved out. The mode of the target itself does not change.
  if (comes) chmodSync(tree.fresh, 0o700);
  return tree;
}

/**
 * Refuses a file in place of a directory, and a directory in place of a file: whoever put it there meant
 * something else.
 */
function refuseOtherKind({ target, path }: Place, fresh: string): void {
  if (!exists(path) || isDirectory(path) === isDirectory(fresh)) return;
  const is = isDirectory(path) ? 'is a directory, and the entry has a file' : 'is not a directory';
  throw new CacheError('TARGET_REFUSED', `${target} cannot be used: ${path} ${is}`, {
    hint: 'Remove it, and restore again.',
  });
}

/**
 * Removes names that only we may write: receipts, markers, and everything else with our prefix. An archive
 * may contain them.
 */
export function stripMarkers(fresh: string): void {
  if (!isDirectory(fresh)) return;
  const names = readdirSync(fresh).filter(
    (name) => name.startsWith('.sandbox-cache-') || name === '.installed',
  );
  if (names.length === 0) return;
  keepTimes(fresh, () => names.forEach((name) => rmSync(join(fresh, name), { recursive: true })));
}

function childMoves({ target, path, keep }: Place, fresh: string | undefined): NamedMove[] {
  const stays = new Set(keep);
  const going = new Set(childNames(path).filter((name) => !stays.has(name) && name !== INSIDE));
  const coming = new Set(fresh === undefined ? [] : childNames(fresh));
  for (const name of stays) {
    if (!coming.has(name)) continue;
    throw new CacheError('TARGET_REFUSED', `${target}/${name} is mounted, and the entry has its own`, {
      hint: `Unmount it, or mount the whole of ${target}.`,
    });
  }
  return [...new Set([...going, ...coming])].map((name) => ({
    name,
    goes: going.has(name),
    comes: coming.has(name),
    doomed: false,
  }));
}

/** Each byte as one character. */
function childNames(dir: string): string[] {
  return readdirSync(dir, 'latin1');
}

function microseconds(path: string): string {
  return String(statSync(path, { bigint: true }).mtimeNs / 1000n);
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}
