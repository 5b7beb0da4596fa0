import { join } from 'node:path';
import type { Project } from '../support/recipe.ts';
import { isInstalledPlace, readHiddenLockfile, readLockfile } from './lockfile.ts';
import { HIDDEN_LOCKFILE } from './tree.ts';

/**
 * Whether npm has installed packages that the lockfile does not name, which an install would remove. By its
 * own record: what nobody recorded it passes over too.
 */
export function hasExtraneous({ dir, lockfile }: Pick<Project, 'dir' | 'lockfile'>): boolean {
  const recorded = readHiddenLockfile(join(dir, HIDDEN_LOCKFILE));
  const wanted = readLockfile(join(dir, lockfile));
  return [...(recorded?.keys() ?? [])].some(
    (location) => isInstalledPlace(location) && !wanted.has(location),
  );
}
