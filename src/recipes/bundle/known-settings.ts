import type { Project } from '../support/recipe.ts';
import type { BundlerSettings } from './settings.ts';

/**
 * Bundler's settings that cannot make a complete bundle incomplete, whatever their values: where it is, which
 * groups are left out, how it was fetched and built.
 */
const HARMLESS =
  /^BUNDLE_(?:PATH|GEMFILE|APP_CONFIG|USER_HOME|USER_CONFIG|USER_CACHE|CONFIG|IGNORE_CONFIG|WITHOUT|WITH|ONLY|JOBS|RETRY|TIMEOUT|REDIRECT|CLEAN|NO_PRUNE|BIN|SILENCE_ROOT_WARNING|SILENCE_DEPRECATIONS|IGNORE_MESSAGES|(?:BUILD|GEM)__\w+)$/;

/**
 * We set these to true to verify a bundle. If they are set to false, the project's own configuration may win
 * over us.
 */
const ONLY_WHEN_TRUE = /^BUNDLE_(?:FROZEN|DEPLOYMENT)$/;

/** Variables that change what Ruby or RubyGems do before Bundler reads its settings. */
const MEDDLING = [
  'RUBYOPT',
  'RUBYLIB',
  'RUBYGEMS_GEMDEPS',
  'GEM_SKIP',
  'DEBIAN_RUBY_STANDALONE',
  'DEBIAN_DISABLE_RUBYGEMS_INTEGRATION',
];

/** Whether all settings are known, and Bundler would accept a bundle that is complete by its lockfile. */
export function hasOnlyKnownSettings({ env }: Project, { names, value }: BundlerSettings): boolean {
  if (names === undefined || MEDDLING.some((name) => (env[name] ?? '') !== '')) return false;
  if (Object.keys(env).some((name) => name.startsWith('BUNDLER_'))) return false;
  if (value('BUNDLE_WITHOUT') !== undefined && value('BUNDLE_WITH') !== undefined) return false;
  return names.every(
    (name) => HARMLESS.test(name) || (ONLY_WHEN_TRUE.test(name) && /^(?:true|1)$/.test(value(name) ?? '')),
  );
}
