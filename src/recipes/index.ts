import { CacheError } from '../errors.ts';
import { bundleRecipe } from './bundle/recipe.ts';
import { findLockfile } from './support/lockfile.ts';
import { npmRecipe } from './npm/recipe.ts';
import { readProjectRecipes } from './custom/project-file.ts';
import type { Project, Recipe } from './support/recipe.ts';
import { isNear } from './support/nearest-name.ts';

/** In the order in which one run handles them. */
export const builtInRecipes: readonly Recipe[] = [bundleRecipe, npmRecipe];

export interface RecipeChoice {
  /** Absolute. */
  projectDir: string;
  /** The environment of a recipe: package managers read their settings there. */
  environment(recipe: Recipe): Project['env'];
  /** As the user named them. None means every recipe whose lockfile exists. */
  names: readonly string[];
}

/**
 * The recipes to work on, each once: built-in ones and those of `.sandbox-cache.json`, which may add to a
 * built-in one or take its place by its name. A named recipe may have no lockfile; the command itself reports
 * that.
 * @throws CacheError USAGE for a name that no recipe has, CONFIG_INVALID for a `.sandbox-cache.json` that
 *   does not parse.
 */
export function chooseRecipes({ projectDir, environment, names }: RecipeChoice): Recipe[] {
  const known = knownRecipes(projectDir);
  const here = (recipe: Recipe): Recipe =>
    recipe.at?.({ dir: projectDir, env: environment(recipe) }) ?? recipe;
  if (names.length === 0)
    return known.map(here).filter((recipe) => findLockfile(projectDir, recipe) !== undefined);
  return [...new Set(names)].map((name) => {
    const recipe = known.find((candidate) => candidate.name === name);
    if (recipe !== undefined) return here(recipe);
    throw unknownRecipe(name, known, 'For anything else add --lockfile <file> --path <dir>');
  });
}

/** @returns undefined when no recipe has the name. @throws CacheError CONFIG_INVALID as `chooseRecipes` */
export function findRecipe(projectDir: string, name: string): Recipe | undefined {
  return knownRecipes(projectDir).find((recipe) => recipe.name === name);
}

/**
 * Says what is wrong with a name that no entry has, for commands that need no recipe (`list`, `prune`).
 * @param otherwise what the user can do if no known recipe was meant
 * @returns a CacheError USAGE; undefined for the name of a recipe
 */
export function strangeName(
  projectDir: string,
  name: string,
  otherwise = 'sandbox-cache list shows every entry there is.',
): CacheError | undefined {
  const known = knownRecipes(projectDir);
  if (known.some((recipe) => recipe.name === name)) return undefined;
  return unknownRecipe(name, known, otherwise);
}

/** The built-in recipes and the project's own. @throws CacheError CONFIG_INVALID as `chooseRecipes` */
export function knownRecipes(projectDir: string): Recipe[] {
  const own = readProjectRecipes(projectDir, builtInRecipes);
  const replaced = new Set(own.map(({ name }) => name));
  return [...builtInRecipes.filter(({ name }) => !replaced.has(name)), ...own];
}

function unknownRecipe(name: string, known: readonly Recipe[], otherwise: string): CacheError {
  const names = known.map((recipe) => recipe.name);
  const nearest = names.find((candidate) => isNear(name, candidate));
  const meant = nearest === undefined ? `Known are ${names.join(', ')}` : `Did you mean ${nearest}`;
  return new CacheError('USAGE', `There is no recipe ${JSON.stringify(name)}`, {
    hint: `${meant}${nearest === undefined ? '.' : '?'} ${otherwise}`,
  });
}
