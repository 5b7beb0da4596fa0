/** Two entries that are one on disk. */
import type { PendingStat, BinaryRoot } from '../workers/protocol.ts';
import { refuse, folded } from '../errors.ts';
import { nameOf } from '../read/entry-names.ts';
import { lstatSync } from 'node:fs';
import { fsPath } from '../format/binary-string.ts';

/**
 * Files refuse each other by name when they are made, directories do not: workers make the same ones. So once all are there.
 * @throws CacheError ARCHIVE_REFUSED when a directory has two entries: tar programs would make sense of it, each in its way;
 *   TARGET_REFUSED when two have become one, on a file system to which their names are the same
 */
export function refuseTwice(pendingStats: readonly PendingStat[], roots: readonly BinaryRoot[]): void {
  const targets = new Set<string>();
  const byFold = new Map<string, string>();
  // 12,000 directories take 5 ms to fold, and hardly any file system needs it; names that are not ASCII are few.
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

/** What any file system may take for one name. Whether this one does, it is asked. */
function fold(target: string): string {
  if (!NOT_ASCII.test(target)) return target.toLowerCase();
  const text = Buffer.from(target, 'latin1').toString('utf8');
  return text.normalize('NFKD').toUpperCase().toLowerCase().normalize('NFKD');
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}
