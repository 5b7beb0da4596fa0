/** Refuses two entries that are one directory on disk. */
import type { PendingStat, BinaryRoot } from '../workers/protocol.ts';
import { refuse, folded } from '../errors.ts';
import { nameOf } from '../read/entry-names.ts';
import { lstatSync } from 'node:fs';
import { fsPath } from '../format/binary-string.ts';

/**
 * A duplicate file fails when it is created. A duplicate directory does not, because several workers create
 * the same ones. So directories are checked at the end.
 * @throws CacheError ARCHIVE_REFUSED when a directory has two entries: each tar program would treat that in
 *   its own way; TARGET_REFUSED when two directories have become one, because the file system takes their
 *   names for the same
 */
export function refuseTwice(pendingStats: readonly PendingStat[], roots: readonly BinaryRoot[]): void {
  const targets = new Set<string>();
  const byFold = new Map<string, string>();
  // Folding 12,000 names takes 5 ms, and few file systems ignore case. Any may normalize what is not ASCII,
  // and such names are rare.
  const suspects = foldsCase(roots) ? ANY : NOT_ASCII;
  for (const { target } of pendingStats) {
    if (targets.has(target)) throw refuse(nameOf(target, roots), 'is there twice');
    targets.add(target);
    if (!suspects.test(target)) continue;
    const key = fold(target);
    const other = byFold.get(key);
    if (other === undefined) byFold.set(key, target);
    else if (isSame(target, other)) throw folded(nameOf(target, roots));
  }
}

const ANY = /^/;

const NOT_ASCII = /[^\0-\x7f]/;

function foldsCase(roots: readonly BinaryRoot[]): boolean {
  return roots.some(({ dir }) => {
    const cut = dir.lastIndexOf('/') + 1;
    return isSame(dir, dir.slice(0, cut) + dir.slice(cut).toUpperCase());
  });
}

/**
 * Names that some file system takes for the same fold to the same text. `isSame` then asks the one at hand.
 */
function fold(target: string): string {
  if (!NOT_ASCII.test(target)) return target.toLowerCase();
  const text = Buffer.from(target, 'latin1').toString('utf8');
  return text.normalize('NFKD').toUpperCase().toLowerCase().normalize('NFKD');
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}
