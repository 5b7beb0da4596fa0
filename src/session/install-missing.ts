import { join } from 'node:path';
import { CacheError, systemCode } from '../errors.ts';
import { namesIn } from '../files/names-in.ts';
import type { Incremental, Recipe } from '../recipes/support/recipe.ts';
import type { RestoredBase } from './base/restored-base.ts';
import type { OnBase } from './base/install-on-base.ts';
import { type Held, projectOf } from './hold.ts';
import { install, type InstallFailed, type InstallOptions } from './install.ts';
import type { BaseUse } from './outcome.ts';

export interface Installed {
  type: 'installed';
  /** What an install from nothing takes. */
  installSeconds: number;
  /** See `Lineage`. Undefined if no later install can build on the tree. */
  steps: number | undefined;
  /** The older entry that the install began with, as it is told. */
  base?: BaseUse;
  /** The same, for a save that copies from it. */
  stored?: RestoredBase | undefined;
}

/**
 * Installs what the store does not have: on top of an older entry if there is one that is near enough, else
 * from nothing.
 * @param missed the key that nothing was found under; undefined if no older entry may be used
 * @param isClean whether what is in the recipe's directories is of no use
 */
export async function installMissing(
  held: Held,
  recipe: Recipe,
  { missed, isClean, ...options }: InstallOptions & { missed: string | undefined; isClean: boolean },
): Promise<InstallFailed | Installed> {
  const isOwn = options.command.length === 0;
  const { config } = held.session;
  // A plain tar has members without frames. They are told from each other by more than their digests.
  const delta = options.delta && config.delta && config.compression !== 'none';
  const onBase: OnBase =
    missed !== undefined && isOwn && options.fallback && config.fallback
      ? await (
          await import('./base/install-on-base.ts')
        ).installOnBase(held, recipe, { ...options, delta, missed })
      : { type: 'none' };
  if (onBase.type === 'installed') {
    const { installSeconds, steps, stored, ...base } = onBase;
    return { installSeconds, steps, base, stored, type: 'installed' };
  }
  const incremental = isOwn ? await recipe.incremental?.() : undefined;
  const isMarked = onBase.type === 'given up';
  const startsFromNothing =
    isClean || isMarked || incremental?.startsFromNothing === true || isEmpty(held, recipe);
  const began = performance.now();
  const failed = await install(held, recipe, { ...options, isClean: isClean || isMarked, isMarked });
  if (failed !== undefined) return failed;
  const installSeconds = (performance.now() - began) / 1000;
  const isBase = startsFromNothing && isPristine(held, recipe, incremental);
  return { type: 'installed', installSeconds, steps: isBase ? 0 : undefined };
}

/** Whether nothing is installed. */
function isEmpty({ session }: Held, { mainTarget }: Recipe): boolean {
  const names = namesIn(join(session.config.projectDir, mainTarget));
  return names.every((name) => name.startsWith('.sandbox-cache-'));
}

function isPristine({ session }: Held, recipe: Recipe, incremental: Incremental | undefined): boolean {
  try {
    return incremental?.isPristine(projectOf(session, recipe)) === true;
  } catch (error) {
    // The verification will say what is wrong with the tree.
    if (error instanceof CacheError || systemCode(error) !== undefined) return false;
    throw error;
  }
}
