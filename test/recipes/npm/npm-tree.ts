import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { findLockfile } from '../../../src/recipes/support/lockfile.ts';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';
import type { Project } from '../../../src/recipes/support/recipe.ts';
import type { Registry } from '../registry.ts';

const run = promisify(execFile);

export interface NpmTree {
  dir: string;
  env: Record<string, string>;
}

/** Writes a project's files; objects become JSON. */
export async function writeProject(dir: string, files: Record<string, object | string>): Promise<void> {
  for (const [path, content] of Object.entries(files)) {
    const file = join(dir, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, typeof content === 'string' ? content : JSON.stringify(content));
  }
}

/** The environment of an npm that knows only this registry and has no settings of its owner's. */
export function npmEnv(home: string, registry: Registry): Record<string, string> {
  return {
    PATH: process.env['PATH'] ?? '',
    HOME: home,
    npm_config_userconfig: join(home, '.npmrc'),
    npm_config_globalconfig: join(home, 'global-npmrc'),
    npm_config_cache: join(home, '.npm'),
    npm_config_registry: registry.url,
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
    GIT_CONFIG_GLOBAL: '/dev/null',
  };
}

export async function npm({ dir, env }: NpmTree, ...args: string[]): Promise<void> {
  await run('npm', args, { cwd: dir, env });
}

/** As an archive puts it back: links as they are, times to the microsecond. */
export async function copyTree({ dir, env }: NpmTree, to: string): Promise<NpmTree> {
  await mkdir(to);
  await run('cp', ['-a', `${dir}/.`, to]);
  return { dir: to, env };
}

export function projectOf({ dir, env }: NpmTree): Project {
  return { dir, env, lockfile: findLockfile(dir, npmRecipe) ?? 'package-lock.json' };
}

export async function verify(tree: NpmTree): Promise<string> {
  const result = await npmRecipe.verify(projectOf(tree), new AbortController().signal);
  return result.ok ? 'ok' : result.reason;
}
