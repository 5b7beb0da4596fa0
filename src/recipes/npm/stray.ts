import { join } from 'node:path';
import type { Project } from '../support/recipe.ts';
import { isLinked } from './linked.ts';
import { moduleFolders, readLockfile } from './lockfile.ts';
import { packagesIn } from './tree.ts';

/**
 * The first thing that lies where packages lie and that the lockfile does not name. In a linked tree places
 * are npm's own choice, so nothing counts as stray there.
 * @param inside packages whose own packages are looked at as well @default none: tarballs may bring some along
 */
export function strayPackage(
  { dir, lockfile }: Pick<Project, 'dir' | 'lockfile'>,
  inside: Iterable<string> = [],
): string | undefined {
  const wanted = readLockfile(join(dir, lockfile));
  if (isLinked(dir, wanted)) return undefined;
  const folders = [...moduleFolders(wanted), ...[...inside].map((location) => `${location}/node_modules`)];
  return folders.flatMap((folder) => packagesIn(dir, folder)).find((place) => !wanted.has(place));
}
