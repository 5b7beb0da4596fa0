import { EXTENSIONS, type Compression } from '../archive/types.ts';
import { type Config, recipeEnvironment } from '../config/config.ts';
import { entryKey, keyDigest, type KeyIngredients } from '../key.ts';
import { readKeyFiles } from '../recipes/support/key-files.ts';
import { keyVariables, readLockfiles } from '../recipes/support/lockfile.ts';
import type { Project, Recipe } from '../recipes/support/recipe.ts';
import { runtimeOf } from '../recipes/support/runtime.ts';
import type { Session } from './session.ts';
import { withDeadline } from './deadline.ts';

/** One recipe in one project, and the entry that its lockfile names. */
export interface Subject {
  recipe: Recipe;
  project: Project;
  /** SHA-256 of the lockfile's bytes, 64 hex digits. */
  lockfileDigest: string;
  /** What goes into the digest. */
  ingredients: KeyIngredients;
  /** The SHA-256 that `hash` is the beginning of. */
  digest: string;
  /** 16 hex digits. */
  hash: string;
  /** e.g. `linux-x64-node115`; empty where keys have none. */
  runtime: string;
  key: string;
  compression: Compression;
}

/** @returns undefined when the project has none of the recipe's lockfiles. */
export async function identify(session: Session, recipe: Recipe): Promise<Subject | undefined> {
  const { config } = session;
  const ingredients = readIngredients(config, recipe);
  const [lockfile] = ingredients.files;
  if (lockfile === undefined) return undefined;
  const project: Project = {
    dir: config.projectDir,
    lockfile: lockfile.path,
    env: recipeEnvironment(config, recipe),
  };
  const digest = keyDigest(ingredients);
  const runtime = config.keyRuntime ? await runtimeHere(session, recipe, project) : '';
  const { prefix, compression } = config;
  const key = entryKey({ prefix, recipe: recipe.name, digest, runtime, extension: EXTENSIONS[compression] });
  return {
    recipe,
    project,
    lockfileDigest: lockfile.sha256,
    ingredients,
    digest,
    hash: digest.slice(0, 16),
    runtime,
    key,
    compression,
  };
}

/** An interpreter that hangs ends with the deadline, or with Ctrl-C. */
export function runtimeHere(session: Session, recipe: Recipe, project: Project): Promise<string> {
  return withDeadline(session, `Asking ${recipe.program ?? recipe.name} for its version`, (signal) =>
    runtimeOf(recipe, project, signal),
  );
}

/**
 * What the digest is made of, read from the disk now. No files where the project has none of the lockfiles.
 */
export function readIngredients(config: Config, recipe: Recipe): KeyIngredients {
  const { projectDir: dir, keySalt: salt } = config;
  const lockfiles = readLockfiles(dir, recipe);
  if (lockfiles.length === 0) return { files: [], salt, variables: {} };
  return {
    files: [...lockfiles, ...readKeyFiles(dir, recipe.keyFiles ?? [])],
    salt,
    variables: keyVariables(recipe, recipeEnvironment(config, recipe)),
  };
}
