/**
 * Where an entry's name leads. A name is a binary string (see tar-header.ts) of plain segments under one of
 * the roots: `node_modules/a/index.js`. Any other name is refused, never repaired.
 */
import type { CacheError } from '../../errors.ts';
import { MAX_DEPTH } from '../bounds.ts';
import { limit, refuse, shown } from '../errors.ts';
import type { BinaryRoot } from '../workers/protocol.ts';

export interface EntryTarget {
  root: BinaryRoot;
  /** Absolute. */
  target: string;
}

/**
 * `./a/b/` → `a/b`; the empty string for the top itself.
 * @param entry what to name in a refusal
 * @throws CacheError ARCHIVE_REFUSED
 */
export function checkedName(path: string, entry = path): string {
  let name = path;
  // What `tar -c .` writes.
  while (name.startsWith('./')) name = name.slice(2);
  if (name.endsWith('/')) name = name.slice(0, -1);
  if (name === '' || name === '.') {
    if (path.startsWith('.')) return '';
    throw refuse(entry, path === '' ? 'has no name' : 'has an absolute name');
  }
  if (name.startsWith('/')) throw refuse(entry, 'has an absolute name');
  if (name.includes('\0')) throw refuse(entry, 'has a name with a NUL in it');
  if (/(?:^|\/)\.\.(?:\/|$)/.test(name)) throw refuse(entry, 'has ".." in its name');
  if (name.length > 2 * MAX_DEPTH && name.split('/', MAX_DEPTH + 1).length > MAX_DEPTH)
    throw limit(`more than ${MAX_DEPTH} directories in each other (${shown(entry)})`);
  if (/(?:^|\/)\.?(?:\/|$)/.test(name)) throw refuse(entry, 'has an empty segment in its name');
  return name;
}

/**
 * Finds the root that a checked name lies under or equals. Where roots are nested, the innermost one counts.
 */
export function entryTargetOf(name: string, roots: readonly BinaryRoot[]): EntryTarget | undefined {
  let best: BinaryRoot | undefined;
  for (const root of roots) {
    const { prefix } = root;
    const under = name.startsWith(prefix) && (name.length === prefix.length || name[prefix.length] === '/');
    if (under && prefix.length >= (best?.prefix.length ?? 0)) best = root;
  }
  return best === undefined ? undefined : { root: best, target: best.dir + name.slice(best.prefix.length) };
}

/** Whether a directory of this name lies above a root, as `vendor` does above `vendor/bundle`. */
export function leadsToRoot(name: string, roots: readonly BinaryRoot[]): boolean {
  return name === '' || roots.some(({ prefix }) => prefix.startsWith(`${name}/`));
}

/** Returns the path of the file that a hard link names. @throws CacheError ARCHIVE_REFUSED, ARCHIVE_LIMIT */
export function linkedTarget(
  { path, linkPath }: { path: string; linkPath: string },
  roots: readonly BinaryRoot[],
): string {
  const place = linkPath === '' ? undefined : entryTargetOf(checkedName(linkPath), roots);
  if (place === undefined) throw refuse(path, 'is a hard link to something outside the archive');
  return place.target;
}

/** Makes the error for an entry that lies under no root, or takes the place of one. */
export function outside(name: string, path: string, roots: readonly BinaryRoot[]): CacheError {
  if (roots.some(({ prefix }) => prefix === name)) return refuse(path, 'must be a directory');
  const prefixes = roots.map(({ prefix }) => Buffer.from(prefix, 'latin1').toString()).join(', ');
  return refuse(path, `is not under ${prefixes}`);
}

/** The name in the archive of what is at `target`, for messages. */
export function nameOf(target: string, roots: readonly BinaryRoot[]): string {
  const root = roots.find(({ dir }) => target === dir || target.startsWith(`${dir}/`));
  return root === undefined ? target : root.prefix + target.slice(root.dir.length);
}
