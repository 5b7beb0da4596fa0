/**
 * What a commit is about to do, written before it begins, so that the next run can undo it (`swap`) or, once
 * something had to be deleted for it, finish it (`forward`). The journal does not record how far the commit
 * came: the files themselves show that, see moves.ts.
 *
 * Targets and places are named as in the entry, never by absolute path: a journal is a file in somebody's
 * project, and must not be able to name anything but the targets and the run's own directories.
 */
import { unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { readSmallText } from '../../files/read-small-file.ts';
import { replaceFile } from '../files/atomic-file.ts';
import type { Bay } from '../places/bays.ts';

export interface Journal {
  version: 1;
  phase: 'swap' | 'forward';
  trees: TreeChange[];
}

/** How one target changes. */
export interface TreeChange {
  target: string;
  bay: Bay;
  /** The new tree is `new-<slot>` in the run's directory of the bay, the old one goes to `old-<slot>`. */
  slot: number;
  moves: NamedMove[];
  /** Times of a directory that stays in place while its children change. Microseconds. */
  times?: { before: string; after: string };
}

export interface NamedMove {
  /** Empty for the tree itself, else one of its children, each byte as one character (latin1). */
  name: string;
  /** Something is in place and will be set aside. */
  goes: boolean;
  /** Something new takes its place. */
  comes: boolean;
  /** It can only be deleted, not set aside, because it comes from a lower layer of overlayfs. */
  doomed: boolean;
}

const FILE = 'journal.json';

/** A target that is a mount point takes about 100 bytes for each of its children. */
const MAX_JOURNAL_BYTES = 64 * 1024 * 1024;

/** Errors that mean: there is no journal, or we did not write it. */
const NO_JOURNAL = ['ENOENT', 'ENOTREG', 'EFBIG', 'ELOOP', 'ENXIO'];

export function writeJournal(runDir: string, journal: Journal): void {
  replaceFile(join(runDir, FILE), JSON.stringify(journal), 0o600);
}

export function removeJournal(runDir: string): void {
  unlinkSync(join(runDir, FILE));
}

/** @returns undefined when no commit was under way */
export function readJournal(runDir: string): Journal | undefined {
  try {
    const text = readSmallText(join(runDir, FILE), { maxBytes: MAX_JOURNAL_BYTES, followLinks: false });
    const value: unknown = JSON.parse(text);
    return isJournal(value) ? value : undefined;
  } catch (error) {
    if (NO_JOURNAL.includes(systemCode(error) ?? '') || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function isJournal(value: unknown): value is Journal {
  const { version, phase, trees } = fields<Journal>(value);
  if (version !== 1 || (phase !== 'swap' && phase !== 'forward') || !Array.isArray(trees)) return false;
  return trees.every((tree) => {
    const { target, bay, slot, moves, times } = fields<TreeChange>(tree);
    if (typeof target !== 'string' || !['home', 'beside', 'inside'].includes(String(bay))) return false;
    if (!Number.isSafeInteger(slot) || !Array.isArray(moves) || !moves.every(isMove)) return false;
    return times === undefined || (/^\d+$/.test(times.before) && /^\d+$/.test(times.after));
  });
}

function isMove(value: unknown): value is NamedMove {
  const { name, goes, comes, doomed } = fields<NamedMove>(value);
  if (typeof name !== 'string' || name.includes('/') || name.includes('\0') || name === '.' || name === '..')
    return false;
  return [goes, comes, doomed].every((flag) => typeof flag === 'boolean');
}

function fields<T>(value: unknown): Partial<T> {
  return typeof value === 'object' && value !== null ? (value as Partial<T>) : {};
}
