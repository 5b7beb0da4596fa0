import { lstatSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { bayDir } from '../places/bays.ts';
import { readJournal, removeJournal, type Journal, type TreeChange } from './journal.ts';
import { IGNORE_FILE, removeHidden } from '../files/hidden.ts';
import { clearTree } from '../files/clear-tree.ts';
import { MARK } from '../notes/mark.ts';
import { finish, isDone, undo, unmark, type StagedTree } from './moves.ts';
import { isLeaseName, newestLease } from '../lease/lease-file.ts';
import type { Layout } from '../places/places.ts';
import type { StagingOptions } from '../types.ts';
import { exists } from '../files/exists.ts';

/** A run's own directory in a bay is named after its lease. */
export function runName(leaseId: string): string {
  return `run-${leaseId}`;
}

/**
 * Recovers from what dead runs have left: undoes or finishes a commit that had begun, then removes their
 * directories. The caller must hold the lease of the home, and must not have staged anything yet.
 * @throws system errors of a commit that can be neither undone nor finished
 */
export async function recover({ home, places }: Layout, options: Warned): Promise<void> {
  const isDead = deadRuns(home);
  for (const name of readdirSync(home).filter(isDead)) await recoverRun({ home, places }, name);
  const clear: Clear = (path) => clearTree(path, { onWarning: options.onWarning });
  for (const { path } of places) {
    for (const bay of ['beside', 'inside'] as const) {
      const dir = bayDir(home, path, bay);
      if (dir !== home) await clearBay(dir, isDead, clear);
    }
  }
  // A lease is removed by its owner or successor, and a mark by whoever installs.
  const isKept = (name: string): boolean =>
    [IGNORE_FILE, MARK].includes(name) || isLeaseName(name) || (isRun(name) && !isDead(name));
  for (const name of readdirSync(home)) if (!isKept(name)) await clear(join(home, name));
}

type IsDead = (name: string) => boolean;

/** Several runs may share one lease, because an installer may have started them. */
function deadRuns(home: string): IsDead {
  const { generation, token } = newestLease(home) ?? {};
  const ours = runName(`${generation}-${token}`);
  return (name) => isRun(name) && !name.startsWith(ours);
}

type Warned = Pick<StagingOptions, 'onWarning'>;
type Clear = (path: string) => Promise<unknown>;

async function recoverRun(layout: Layout, name: string): Promise<void> {
  const runDir = join(layout.home, name);
  const journal = isDirectory(runDir) ? readJournal(runDir) : undefined;
  if (journal === undefined) return;
  const trees = treesOf(journal, layout, name);
  if (journal.phase === 'forward') {
    await finish(trees);
  } else if (!isDone(trees)) {
    unmark(trees);
    undo(trees);
  }
  removeJournal(runDir);
}

/** Skips changes to targets that the entry no longer has, because their paths have not been checked. */
function treesOf(journal: Journal, { home, places }: Layout, name: string): StagedTree[] {
  const trees: StagedTree[] = [];
  for (const change of journal.trees) {
    const place = places.find(({ target }) => target === change.target);
    if (place === undefined) continue;
    const tree = toTree(change, place.path, join(bayDir(home, place.path, change.bay), name));
    if (isSound(tree)) trees.push(tree);
  }
  return trees;
}

/** @param runDir the run's directory in the bay */
export function toTree(change: TreeChange, place: string, runDir: string): StagedTree {
  return {
    change,
    place,
    fresh: join(runDir, `new-${change.slot}`),
    old: join(runDir, `old-${change.slot}`),
  };
}

/** Nothing is moved through a symlink, and children only between directories. */
function isSound({ change: { moves }, place, fresh, old }: StagedTree): boolean {
  if (!isDirectory(join(fresh, '..'))) return false;
  if (moves.length === 1 && moves[0]?.name === '') return true;
  return (
    moves.every(({ name }) => name !== '') &&
    [place, old].every(isDirectory) &&
    (isDirectory(fresh) || !exists(fresh))
  );
}

/** Does nothing if the bay is the home of another run. */
async function clearBay(dir: string, isDead: IsDead, clear: Clear): Promise<void> {
  if (!isDirectory(dir) || newestLease(dir) !== undefined) return;
  for (const name of readdirSync(dir)) if (isDead(name) || isLeaseName(name)) await clear(join(dir, name));
  removeHidden(dir);
}

function isRun(name: string): boolean {
  return name.startsWith('run-');
}

function isDirectory(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
  } catch (error) {
    // A target may be a file.
    if (systemCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}
