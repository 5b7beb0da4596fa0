import { join, relative, sep } from 'node:path';
import { readSmallText } from '../../files/read-small-file.ts';
import { bundler } from './command.ts';
import { installations } from './installation.ts';
import { coversPlatform, gemPlatform } from './platforms.ts';
import { rubyFacts } from './ruby-facts.ts';
import { readBundlerSettings } from './settings.ts';
import { bundleTarget, DEFAULT_TARGET, lookElsewhere } from './target.ts';
import { looksDamaged, verifyBundle } from './verify.ts';
import type { Project, Recipe } from '../support/recipe.ts';
import { platformOf } from '../support/runtime.ts';
import { which } from '../support/which.ts';

/** Without a Gemfile either name counts, because a Docker layer may bring the lockfile alone. */
const LOCKFILES = ['Gemfile.lock', 'gems.locked'];

/** Bundler: Gemfile.lock or gems.locked → vendor/bundle, or what the project's settings name instead. */
export const bundleRecipe = recipeOf(LOCKFILES, DEFAULT_TARGET);

function recipeOf(lockfiles: readonly string[], target: string): Recipe {
  return {
    name: 'bundle',
    label: 'Ruby gems',
    lockfiles,
    keyVariables: [
      'BUNDLE_WITHOUT',
      'BUNDLE_ONLY',
      'BUNDLE_WITH',
      'BUNDLE_FORCE_RUBY_PLATFORM',
      'BUNDLE_SPECIFIC_PLATFORM',
      'BUNDLE_BUILD__*',
    ],
    // An archive's paths begin with the target.
    keyValues: target === DEFAULT_TARGET ? {} : { BUNDLE_PATH: target },
    program: 'ruby',
    mainTarget: target,
    marker: '.bundle/.installed',
    verifiesLockfile: true,

    at(place) {
      const settings = readBundlerSettings(place);
      const { lockfile } = settings;
      const found = lockfile === undefined ? LOCKFILES : [relative(place.dir, lockfile).split(sep).join('/')];
      return recipeOf(found, bundleTarget(place, settings));
    },

    async targets() {
      return [target];
    },

    excludes() {
      // vendor/bundle/<engine>/<abi>/cache: the .gem files as downloaded, which an installed bundle never
      // opens. The clones of git sources beside them stay: `bundle install` builds upon them.
      return [`${target}/*/*/cache/*.gem`];
    },

    // Gems, those of git sources too; their extensions, under platform and ABI; and all specifications together.
    packages: ['gems/*', 'extensions/*/*/*', 'specifications'],

    async abi(project, signal) {
      return (await rubyFacts(project, signal)).abi;
    },

    witnesses({ dir }) {
      return installations(dir, target).flatMap((path) => [`${path}/specifications`, `${path}/bundler/gems`]);
    },

    install(project) {
      // Frozen, like `npm ci`. If an install rewrote the lockfile, it would be saved under a key that no
      // fresh clone asks for. Not frozen if the lockfile lacks this platform, because Bundler would refuse to
      // install at all.
      const decided = ['BUNDLE_FROZEN', 'BUNDLE_DEPLOYMENT'].some((name) => name in project.env);
      const frozen = !decided && missingPlatform(project) === undefined;
      return bundler(project, target, { args: ['install'], env: frozen ? { BUNDLE_FROZEN: 'true' } : {} });
    },

    async incremental() {
      const { bundleIncremental } = await import('./incremental.ts');
      return bundleIncremental(target, (project) => this.install(project));
    },

    advice(project) {
      const platform = missingPlatform(project);
      if (platform === undefined) return undefined;
      const fix = `bundle lock --add-platform ${platform}`;
      return {
        message: `${project.lockfile} has no platform ${platform}: every install changes it, and its key with it`,
        hint: `Run \`${fix}\` and commit ${project.lockfile}.`,
        fix,
      };
    },

    lookElsewhere(project) {
      return lookElsewhere(project, readBundlerSettings(project), target);
    },

    leftOut(project) {
      const { value } = readBundlerSettings(project);
      return GROUP_SETTINGS.flatMap((name) => value(name) ?? []).join(' ');
    },

    verify(project, signal) {
      return verifyBundle(project, target, signal);
    },

    looksDamaged(project, signal) {
      return looksDamaged(project, target, signal);
    },
  };
}

const GROUP_SETTINGS = ['BUNDLE_WITHOUT', 'BUNDLE_ONLY', 'BUNDLE_WITH'];
const MAX_LOCKFILE_BYTES = 16 * 1024 * 1024;
/** The platform that the lockfile lacks; undefined when it covers this one. */
function missingPlatform(project: Project): string | undefined {
  const platform = platformOf(which('ruby', project));
  let text;
  try {
    text = readSmallText(join(project.dir, project.lockfile), { maxBytes: MAX_LOCKFILE_BYTES });
  } catch {
    return undefined;
  }
  return coversPlatform(text, platform) ? undefined : gemPlatform(platform);
}
