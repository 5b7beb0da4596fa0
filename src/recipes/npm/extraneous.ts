import { join } from 'node:path';
import type { Project } from '../support/recipe.ts';
import { STORE } from './linked.ts';
import {
  isInstalledPlace,
  nameAt,
  type Package,
  type Packages,
  readHiddenLockfile,
  readLockfile,
} from './lockfile.ts';
import { HIDDEN_LOCKFILE } from './tree.ts';

/**
 * Whether npm has installed packages that the lockfile does not name, which an install would remove. This
 * goes by npm's own record. npm too ignores what is not recorded.
 */
export function hasExtraneous({ dir, lockfile }: Pick<Project, 'dir' | 'lockfile'>): boolean {
  const recorded = readHiddenLockfile(join(dir, HIDDEN_LOCKFILE)) ?? new Map<string, Package>();
  const wanted = readLockfile(join(dir, lockfile));
  const isNamed = naming(wanted);
  return [...recorded].some(
    ([location, entry]) => isInstalledPlace(location) && !wanted.has(location) && !isNamed(location, entry),
  );
}

/**
 * In a linked tree npm chooses the folders itself. A link leads to a folder of the lockfile, or into the
 * store, where packages are compared by name and version.
 */
function naming(wanted: Packages): (location: string, entry: Package) => boolean {
  const names = new Set([...wanted].map(([location, entry]) => nameAndVersion(location, entry)));
  return (location, entry) => {
    const { link, resolved = '' } = entry;
    if (link === true) return wanted.has(resolved) || resolved.startsWith(`${STORE}/`);
    if (!location.startsWith(`${STORE}/`)) return false;
    // A version 1 lockfile does not say which names are behind aliases.
    return !wanted.has('') || names.has(nameAndVersion(location, entry));
  };
}

function nameAndVersion(location: string, { name, version }: Package): string {
  return `${name ?? nameAt(location)}@${version}`;
}
