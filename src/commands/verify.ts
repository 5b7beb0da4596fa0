import { CacheError } from '../errors.ts';
import type { Project, Recipe, Verdict } from '../recipes/recipe.ts';

/** Asks the recipe. A check that cannot be started has not passed: nothing is known about the tree. */
export async function verify(
  { recipe, project }: { recipe: Recipe; project: Project },
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    return await recipe.verify(project, signal);
  } catch (error) {
    if (!(error instanceof CacheError) || error.code !== 'RUNTIME_MISSING') throw error;
    return { ok: false, reason: error.message, blame: 'machine' };
  }
}
