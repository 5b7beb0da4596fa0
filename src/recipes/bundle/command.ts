import { resolve } from 'node:path';
import type { Command, Project } from '../recipe.ts';
import { readBundlerSettings } from './settings.ts';
import { lookElsewhere } from './target.ts';

/** Bundler on this lockfile, and on the target also where its settings would send it elsewhere. */
export function bundler(
  project: Project,
  target: string,
  { args, env }: { args: readonly string[]; env: Readonly<Record<string, string>> },
): Command {
  const gemfile = project.lockfile.replace(/gems\.locked$/, 'gems.rb').replace(/\.lock$/, '');
  const isElsewhere = lookElsewhere(project, readBundlerSettings(project), target) !== undefined;
  return {
    argv: ['bundle', ...args],
    env: {
      BUNDLE_GEMFILE: resolve(project.dir, gemfile),
      ...(isElsewhere ? { BUNDLE_PATH: resolve(project.dir, target) } : {}),
      ...env,
    },
  };
}
