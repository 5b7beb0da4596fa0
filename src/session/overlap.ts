import { realpathSync } from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, sep } from 'node:path';
import { CacheError } from '../errors.ts';
import type { Project, Recipe } from '../recipes/support/recipe.ts';
import type { Session } from './session.ts';

/**
 * Refuses a store inside the recipe's directories. A restore or an installer would delete it with the old
 * tree.
 * @throws CacheError CONFIG_INVALID
 */
export async function requireStoreApart(
  { config }: Session,
  recipe: Recipe,
  project: Project,
): Promise<void> {
  if (config.store.type !== 'local' && config.store.type !== 'tiered') return;
  const { dir } = config.store.local;
  const store = realPath(dir);
  for (const target of await recipe.targets(project)) {
    const place = realPath(join(project.dir, target));
    const overlap = isWithin(store, place) ? 'lies in' : isWithin(place, store) ? 'holds' : undefined;
    if (overlap === undefined) continue;
    const what = `CACHE_LOCAL_DIR (${dir}) ${overlap} ${target}, which ${recipe.name} replaces as a whole`;
    throw new CacheError('CONFIG_INVALID', what, { hint: 'Give it a directory apart from that one.' });
  }
}

/** Resolves all symbolic links in the part of the path that exists. */
function realPath(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    const parent = dirname(path);
    return parent === path ? path : join(realPath(parent), basename(path));
  }
}

/** Whether a path is the folder or below it. */
function isWithin(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
