import { createHash } from 'node:crypto';
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { CacheError } from '../../errors.ts';
import { isOutOfFiles, MORE_FILES_HINT, readError } from '../../files/read-errors.ts';
import { readSmallFile } from '../../files/read-small-file.ts';
import type { Recipe } from './recipe.ts';

/** The largest lockfiles of public projects have some 10 MB. */
const MAX_BYTES = 256 * 1024 * 1024;

/** SHA-256 of a file's bytes, 64 hex digits, as `sha256sum` prints it. Synchronous: lockfiles are small. */
export function hashFile(path: string): string {
  try {
    return createHash('sha256')
      .update(readSmallFile(path, { maxBytes: MAX_BYTES }).bytes)
      .digest('hex');
  } catch (error) {
    throw unreadable(path, error);
  }
}

/** @param error of `readSmallFile` */
export function unreadable(path: string, error: unknown): CacheError {
  const hint = isOutOfFiles(error) ? MORE_FILES_HINT : 'Check that it exists and that this user may read it.';
  return new CacheError('SOURCE_UNREADABLE', `${path} ${readError(error)}`, { hint, cause: error });
}

/** The lockfile that counts, relative to the project: the first one of the recipe that is a file. */
export function findLockfile(
  projectDir: string,
  recipe: Pick<Recipe, 'lockfiles' | 'everyLockfile'>,
): string | undefined {
  const isThere = (path: string): boolean =>
    statSync(join(projectDir, path), { throwIfNoEntry: false })?.isFile() === true;
  if (recipe.everyLockfile === true) {
    return recipe.lockfiles.every(isThere) ? recipe.lockfiles[0] : undefined;
  }
  return recipe.lockfiles.find(isThere);
}

/** The lockfiles that go into the key, with their digests. Empty when one that counts is missing. */
export function readLockfiles(
  projectDir: string,
  recipe: Pick<Recipe, 'lockfiles' | 'everyLockfile'>,
): { path: string; sha256: string }[] {
  const first = findLockfile(projectDir, recipe);
  if (first === undefined) return [];
  const paths = recipe.everyLockfile === true ? recipe.lockfiles : [first];
  return paths.map((path) => ({ path, sha256: hashFile(join(projectDir, path)) }));
}

/** The recipe's variables that are set, and its other values for the key, by name. */
export function keyVariables(
  recipe: Pick<Recipe, 'keyVariables' | 'keyValues'>,
  env: Readonly<Record<string, string>>,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const variable of recipe.keyVariables) {
    const [pattern = '', only] = variable.split('=');
    for (const name of namesOf(pattern, env)) {
      const value = env[name] ?? '';
      if (value !== '' && (only === undefined || only === value)) found[name] = value;
    }
  }
  const all = Object.entries({ ...found, ...recipe.keyValues });
  return Object.fromEntries(all.filter(([, value]) => value !== ''));
}

function namesOf(pattern: string, env: Readonly<Record<string, string>>): string[] {
  if (!pattern.endsWith('*')) return [pattern];
  return Object.keys(env).filter((name) => name.startsWith(pattern.slice(0, -1)));
}
