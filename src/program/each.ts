/** Runs a command for each of the recipes that a command line means, in turn. */
import { choose, type RecipeFlags } from '../session/choose.ts';
import type { Outcome, OutcomeDetail } from '../session/outcome.ts';
import { type Session, whyOff } from '../session/session.ts';
import { CacheError } from '../errors.ts';
import { builtInRecipes } from '../recipes/index.ts';
import type { Recipe } from '../recipes/support/recipe.ts';

interface Each {
  session: Session;
  tell: (outcome: Outcome) => void;
  names: readonly string[];
  flags: RecipeFlags;
  /** What kind of cache the command needs. @default none */
  use?: 'read' | 'write';
}

/** Does the work for each recipe in turn. If one fails, the next still has its turn. */
export async function each(
  { session, tell, names, flags, use }: Each,
  work: (recipe: Recipe) => Promise<OutcomeDetail>,
): Promise<void> {
  const recipes = choose(session, names, flags);
  if (recipes.length === 0) tell(nothingFound(session, use));
  for (const recipe of recipes) {
    const about = { recipe: recipe.name, label: recipe.label, isDetected: names.length === 0 };
    try {
      tell({ ...about, ...(await work(recipe)) });
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      tell({ ...about, type: 'failed', error });
      if (session.signal.aborted) return;
    }
  }
}

/**
 * The outcome if no recipe was named and no lockfile was found. It lists every lockfile that was looked for.
 * If the cache is off, it says that instead.
 */
function nothingFound({ config }: Session, use: Each['use']): Outcome {
  const about = { recipe: 'any recipe', label: 'Dependencies' };
  const off = use === undefined ? undefined : whyOff(config, use);
  if (off !== undefined) return { ...about, type: 'off', reason: off };
  return { ...about, type: 'no-lockfile', lockfiles: builtInRecipes.flatMap((recipe) => recipe.lockfiles) };
}
