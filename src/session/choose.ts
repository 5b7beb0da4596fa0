import { CacheError } from '../errors.ts';
import { recipeEnvironment } from '../config/config.ts';
import { customRecipe } from '../recipes/custom/recipe.ts';
import { builtInRecipes, chooseRecipes } from '../recipes/index.ts';
import type { Project, Recipe } from '../recipes/support/recipe.ts';
import type { Session } from './session.ts';

export interface RecipeFlags {
  lockfile?: string[];
  path?: string[];
}

/**
 * The recipes that a command line means: those named, or every one whose lockfile is found; with `--lockfile`
 * and `--path` the one named, made of them.
 * @throws CacheError USAGE
 */
export function choose(session: Session, names: readonly string[], flags: RecipeFlags): Recipe[] {
  const { projectDir } = session.config;
  const environment = (recipe: Recipe): Project['env'] => recipeEnvironment(session.config, recipe);
  if (flags.lockfile === undefined && flags.path === undefined)
    return chooseRecipes({ projectDir, environment, names });
  const [name, ...more] = names;
  if (name === undefined || more.length > 0) {
    throw new CacheError('USAGE', '--lockfile and --path go with the name of one recipe', {
      hint: 'For example: sandbox-cache restore pip --lockfile requirements.txt --path venv',
    });
  }
  const { lockfile: lockfiles = [], path: paths = [] } = flags;
  const custom = customRecipe({ projectDir, name, lockfiles, paths });
  const builtIn = builtInRecipes.find((recipe) => recipe.name === name);
  if (builtIn === undefined) return [custom];
  return [placed(builtIn.at?.({ dir: projectDir, env: environment(builtIn) }) ?? builtIn, custom, paths)];
}

/**
 * A built-in recipe with its files named, as the old library's functions name them. At its usual paths the
 * built-in recipe applies unchanged. Elsewhere only the parts that do not depend on paths do; verification
 * depends on them.
 */
function placed(builtIn: Recipe, custom: Recipe, paths: readonly string[]): Recipe {
  const usual = custom.lockfiles.length === 1 && builtIn.lockfiles.includes(custom.lockfiles[0]!);
  if (usual && paths.length === 1 && custom.mainTarget === builtIn.mainTarget) {
    return { ...builtIn, lockfiles: custom.lockfiles };
  }
  const { label, program, abi, keyVariables } = builtIn;
  return { ...custom, label, program, abi, keyVariables };
}
