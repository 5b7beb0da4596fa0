/**
 * `npm install` on top of an older tree. It takes what is there for right if place, version and integrity
 * agree. So whatever it could be wrong about is removed first: see keep.ts.
 */
import { join } from 'node:path';
import type { Incremental } from '../../support/recipe.ts';
import { readNpmConfig } from '../config.ts';
import { hasExtraneous } from '../extraneous.ts';
import { isInstalledPlace, readHiddenLockfile, readLockfile } from '../lockfile.ts';
import { scopeOf } from '../scope.ts';
import { npmSettings } from '../settings.ts';
import { strayPackage } from '../stray.ts';
import { hasContestedCommand } from './keep.ts';
import { HIDDEN_LOCKFILE } from '../tree.ts';
import { isPristine } from './pristine.ts';
import { prune } from './prune.ts';

/** Settings under which npm places packages by other rules. */
const OTHER_LAYOUTS = ['install-strategy', 'global-style', 'legacy-bundling'];

export const npmIncremental: Incremental = {
  startsFromNothing: true,

  packages(project) {
    const { dir, lockfile } = project;
    const packages = readLockfile(join(dir, lockfile));
    const config = readNpmConfig(project);
    const settings = npmSettings(project);
    const isUnusual =
      // Version 1 tells too little, and npm would write another lockfile.
      !packages.has('') ||
      OTHER_LAYOUTS.some((name) => !['false', 'hoisted'].includes(config.text(name) ?? 'false')) ||
      config.flag('package-lock') === false ||
      settings.installLinks ||
      settings.ignoreWorkspaces ||
      settings.workspaces.length > 0 ||
      scopeOf(dir, packages, settings).absent.length > 0 ||
      hasContestedCommand(packages, settings);
    if (isUnusual) return undefined;
    return [...packages].flatMap(([location, { version = '', integrity, resolved = '' }]) =>
      isInstalledPlace(location) ? [`${location} ${version} ${integrity ?? resolved}`] : [],
    );
  },

  prune: async (project, _, stays) => prune(project, stays),

  install() {
    return { argv: ['npm', 'install', '--no-save'], env: {} };
  },

  count({ dir }) {
    const recorded = readHiddenLockfile(join(dir, HIDDEN_LOCKFILE)) ?? new Map<string, unknown>();
    return [...recorded.keys()].filter(isInstalledPlace).length;
  },

  stray(project, { kept }) {
    if (hasExtraneous(project)) return 'packages that the lockfile does not name';
    return strayPackage(project, kept);
  },

  isPristine,
};
