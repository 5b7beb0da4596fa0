import { join } from 'node:path';
import { CacheError, systemCode } from '../../errors.ts';
import { readError } from '../../files/read-errors.ts';
import { readSmallText } from '../../files/read-small-file.ts';
import { checkKeyFiles, customRecipe, type CustomRecipeOptions } from './recipe.ts';
import type { Recipe } from '../support/recipe.ts';

/** The file with the project's own recipes, which is committed with it. See docs/EXTENDING.md. */
export const PROJECT_FILE = '.sandbox-cache.json';

const MAX_BYTES = 1024 * 1024;

/**
 * The fields of a recipe in the file. A list is a list of strings; a command is a list, or a line for `sh
 * -c`.
 */
const FIELDS = {
  lockfiles: 'list',
  paths: 'list',
  files: 'list',
  variables: 'list',
  install: 'command',
  verify: 'command',
  runtime: 'command',
} as const satisfies Partial<Record<keyof CustomRecipeOptions, 'list' | 'command'>>;

/**
 * Reads `{ "recipes": { "pip": { "lockfiles": ["requirements.txt"], "paths": ["venv"] } } }`. A recipe that
 * has the name of a built-in one and neither lockfiles nor paths adds to the built-in recipe's key.
 * @returns none when the project has no such file
 * @throws CacheError CONFIG_INVALID, also for a name or a path that no recipe may have
 */
export function readProjectRecipes(projectDir: string, builtIn: readonly Recipe[]): Recipe[] {
  const recipes = parse(projectDir)['recipes'];
  if (recipes === undefined) return [];
  return Object.entries(object(recipes, 'recipes')).map(([name, value]) => {
    const fields = object(value, `recipes.${name}`);
    for (const [field, content] of Object.entries(fields)) checkField(`recipes.${name}`, field, content);
    const extended = builtIn.find((recipe) => recipe.name === name);
    const isAddition = extended !== undefined && !('lockfiles' in fields) && !('paths' in fields);
    const other = Object.keys(fields).find((field) => field !== 'files' && field !== 'variables');
    if (isAddition && other !== undefined) {
      throw invalid(`has recipes.${name}.${other}, but a built-in recipe takes files and variables`);
    }
    try {
      if (isAddition) return withKeyParts(extended, fields, projectDir);
      return customRecipe({ lockfiles: [], paths: [], ...fields, projectDir, name });
    } catch (error) {
      // Its hint is left out, because it is about flags.
      if (error instanceof CacheError) throw invalid(`has recipes.${name}: ${error.message}`, error);
      throw error;
    }
  });
}

/** Adds key parts to the recipe, and to what `at` makes of it. */
function withKeyParts(recipe: Recipe, fields: Record<string, unknown>, projectDir: string): Recipe {
  const { files = [], variables = [] } = fields as { files?: string[]; variables?: string[] };
  const more = checkKeyFiles(files, projectDir);
  const extend = (base: Recipe): Recipe => ({
    ...base,
    keyFiles: [...(base.keyFiles ?? []), ...more],
    keyVariables: [...base.keyVariables, ...variables],
    at: (place) => extend(recipe.at?.(place) ?? recipe),
  });
  return extend(recipe);
}

function parse(projectDir: string): Record<string, unknown> {
  let text;
  try {
    text = readSmallText(join(projectDir, PROJECT_FILE), { maxBytes: MAX_BYTES });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return {};
    throw invalid(readError(error), error);
  }
  try {
    return object(JSON.parse(text), '');
  } catch (error) {
    if (error instanceof CacheError) throw error;
    throw invalid(`is no JSON${whereNot(error)}`);
  }
}

/**
 * Returns ` at position 12`, and no more of the message or the cause. They quote the text, and a link may
 * lead to any file.
 */
function whereNot(error: unknown): string {
  return (
    / at position \d+( \(line \d+ column \d+\))?/.exec(error instanceof Error ? error.message : '')?.[0] ?? ''
  );
}

function checkField(recipe: string, field: string, content: unknown): void {
  if (!Object.hasOwn(FIELDS, field)) {
    throw invalid(`has ${recipe}.${field}, but a recipe takes ${Object.keys(FIELDS).join(', ')}`);
  }
  const isList = Array.isArray(content) && content.every((item) => typeof item === 'string');
  const kind = FIELDS[field as keyof typeof FIELDS];
  if (isList || (kind === 'command' && typeof content === 'string')) return;
  throw invalid(
    `has ${recipe}.${field}, which is no list of strings${kind === 'command' ? ' and no string' : ''}`,
  );
}

function object(value: unknown, where: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return { ...value };
  throw invalid(where === '' ? 'is no JSON object' : `has ${where}, which is no object`);
}

function invalid(what: string, cause?: unknown): CacheError {
  return new CacheError('CONFIG_INVALID', `${PROJECT_FILE} ${what}`, {
    hint: 'docs/EXTENDING.md shows what it takes.',
    ...(cause === undefined ? {} : { cause }),
  });
}
