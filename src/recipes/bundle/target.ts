import { readdirSync, realpathSync } from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import type { Elsewhere } from '../support/recipe.ts';
import type { BundlerSettings, GemPath, BareProject } from './settings.ts';

/** Where gems go, relative to the project, unless a setting names another folder of it. */
export const DEFAULT_TARGET = 'vendor/bundle';

/** Bundler makes a folder in its path for each engine that installs there. */
const ENGINES = /^(?:ruby|jruby|truffleruby|rbx|mruby)$/;

/** The folder that is stored, relative to the project: Bundler's path, if that can be stored. */
export function bundleTarget(project: BareProject, { path }: Pick<BundlerSettings, 'path'>): string {
  const inside = path?.dir === undefined ? undefined : insideProject(project.dir, path.dir);
  return inside !== undefined && holdsOnlyGems(resolve(project.dir, inside)) ? inside : DEFAULT_TARGET;
}

/** @returns undefined when Bundler looks into the target */
export function lookElsewhere(
  project: BareProject,
  settings: BundlerSettings,
  target: string,
): Elsewhere | undefined {
  const { path } = settings;
  if (path?.dir !== undefined && located(path.dir) === located(resolve(project.dir, target)))
    return undefined;
  const where = whereGemsGo(project, path);
  const fix = fixOf(project, settings, target);
  return {
    where,
    fix,
    reason: `Bundler looks for gems in ${where}, not in ${target}; \`${fix}\` sends it there`,
  };
}

function whereGemsGo({ env }: BareProject, path: GemPath | undefined): string {
  if (path?.text !== undefined) return `${path.text} (BUNDLE_PATH in ${path.source})`;
  const system = env['GEM_HOME'] ?? "RubyGems' own folder";
  return `${system} (${path === undefined ? 'BUNDLE_PATH is not set' : `path.system in ${path.source}`})`;
}

function fixOf({ dir }: BareProject, { root, path }: BundlerSettings, target: string): string {
  // A relative path is relative to the Gemfile, wherever that is.
  const value = root === dir ? target : resolve(dir, target);
  if (path?.isLocal !== true) return `export BUNDLE_PATH=${value}`;
  const set = `bundle config set --local path ${value}`;
  return path.text === undefined ? `bundle config unset --local path.system && ${set}` : set;
}

/**
 * The path relative to the project, with `/`. Undefined for the project itself, its repository, and
 * everything outside.
 */
function insideProject(dir: string, path: string): string | undefined {
  const parts = relative(realpathSync(dir), located(path)).split(sep);
  const [first] = parts;
  // `.bundle` holds Bundler's own configuration.
  const isOthers = first === '' || first === '..' || first === '.git' || parts.join('/') === '.bundle';
  return isOthers ? undefined : parts.join('/');
}

/**
 * Resolves links among the parents of a path, because `$PWD` may contain some. The folder itself may stay a
 * link.
 */
function located(path: string): string {
  const parent = dirname(path);
  if (parent === path) return path;
  try {
    return join(realpathSync(parent), basename(path));
  } catch {
    return join(located(parent), basename(path));
  }
}

/**
 * Whether the folder holds only gems. A restore replaces all of it, and an application may keep its own
 * sources in `vendor`, for example.
 */
function holdsOnlyGems(path: string): boolean {
  try {
    return readdirSync(path).every((name) => name.startsWith('.') || ENGINES.test(name));
  } catch {
    return true;
  }
}
