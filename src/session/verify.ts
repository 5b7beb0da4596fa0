import { CacheError } from '../errors.ts';
import type { Project, Recipe, Verdict } from '../recipes/support/recipe.ts';
import { lackedInPlace } from './fit.ts';

/**
 * Asks the recipe. A check that cannot be started counts as not passed, because nothing is known then.
 * @param isThorough see `Recipe.verifyThoroughly`
 */
export async function verify(
  subject: { recipe: Recipe; project: Project },
  signal: AbortSignal,
  { isThorough = false } = {},
): Promise<Verdict> {
  const { recipe, project } = subject;
  // The volume has outlived its image. Installers would find everything there, and compile nothing anew.
  const lacked = await lackedInPlace(subject);
  if (lacked !== undefined) {
    const reason = `compiled files in ${recipe.mainTarget} need ${lacked}, which this machine lacks: remove ${recipe.mainTarget} and install again`;
    return { ok: false, reason, blame: 'machine' };
  }
  try {
    if (isThorough && recipe.verifyThoroughly !== undefined)
      return await recipe.verifyThoroughly(project, signal);
    return await recipe.verify(project, signal);
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'RUNTIME_MISSING') throw error;
    return { ok: false, reason: `cannot be verified: ${error.message}`, blame: 'machine' };
  }
}
