import { resolve } from 'node:path';
import type { Command, Project } from '../support/recipe.ts';
import { readBundlerSettings } from './settings.ts';
import { lookElsewhere } from './target.ts';

/** The command that runs Bundler on this lockfile and on the target, even if its settings name others. */
export function bundler(
  project: Project,
  target: string,
  { args, env }: { args: readonly string[]; env: Readonly<Record<string, string>> },
): Command {
  const settings = readBundlerSettings(project);
  const guessed = project.lockfile.replace(/gems\.locked$/, 'gems.rb').replace(/\.lock$/, '');
  const isElsewhere = lookElsewhere(project, settings, target) !== undefined;
  return {
    argv: ['bundle', ...args],
    env: {
      BUNDLE_GEMFILE: settings.gemfile ?? resolve(project.dir, guessed),
      ...(isElsewhere ? { BUNDLE_PATH: resolve(project.dir, target) } : {}),
      ...env,
    },
  };
}
