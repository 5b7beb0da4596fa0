import type { Project } from '../support/recipe.ts';
import type { BundlerSettings } from './settings.ts';

/**
 * Settings of Bundler's that a whole bundle is whole under, whatever they say: where it is, which groups are left out of
 * it, how it was fetched and built.
 */
const HARMLESS =
  /^BUNDLE_(?:PATH|GEMFILE|APP_CONFIG|USER_HOME|USER_CONFIG|USER_CACHE|CONFIG|IGNORE_CONFIG|WITHOUT|WITH|ONLY|JOBS|RETRY|TIMEOUT|REDIRECT|CLEAN|NO_PRUNE|BIN|SILENCE_ROOT_WARNING|SILENCE_DEPRECATIONS|IGNORE_MESSAGES|(?:BUILD|GEM)__\w+)$/;

/** These are set while a bundle is verified; where they are set to no, the project's own configuration may win. */
const ONLY_WHEN_TRUE = /^BUNDLE_(?:FROZEN|DEPLOYMENT)$/;

/** Variables that change what Ruby or RubyGems do before Bundler comes to its settings. */
const MEDDLING = [
  'RUBYOPT',
  'RUBYLIB',
  'RUBYGEMS_GEMDEPS',
  'GEM_SKIP',
  'DEBIAN_RUBY_STANDALONE',
  'DEBIAN_DISABLE_RUBYGEMS_INTEGRATION',
];

/** Whether all settings are known, and leave a bundle that is whole by its lockfile whole for Bundler too. */
export function hasOnlyKnownSettings({ env }: Project, { names, value }: BundlerSettings): boolean {
  if (names === undefined || MEDDLING.some((name) => (env[name] ?? '') !== '')) return false;
  if (Object.keys(env).some((name) => name.startsWith('BUNDLER_'))) return false;
  if (value('BUNDLE_WITHOUT') !== undefined && value('BUNDLE_WITH') !== undefined) return false;
  return names.every(
    (name) => HARMLESS.test(name) || (ONLY_WHEN_TRUE.test(name) && /^(?:true|1)$/.test(value(name) ?? '')),
  );
}
