import { realpathSync } from 'node:fs';
import { join } from 'node:path';
import { CacheError, systemCode } from '../../errors.ts';
import { BUILD_CACHES } from './build-caches.ts';
import { moduleFolders, readLockfile } from './lockfile.ts';
import { keySettings, SETTING_VARIABLES } from './settings.ts';
import type { Project, Recipe, Verdict } from '../support/recipe.ts';
import { runCommand } from '../support/run.ts';
import { platformOf } from '../support/runtime.ts';
import { requireProgram, which } from '../support/which.ts';

/** npm: package-lock.json or npm-shrinkwrap.json → every node_modules of the project and its workspaces. */
export const npmRecipe: Recipe = {
  name: 'npm',
  label: 'Node packages',
  // If both are there, npm reads only the shrinkwrap.
  lockfiles: ['npm-shrinkwrap.json', 'package-lock.json'],
  keyVariables: ['NODE_ENV=production', ...SETTING_VARIABLES],
  // patch-package applies these to the tree, if the project's postinstall calls it.
  keyFiles: ['patches/*.patch'],
  program: 'node',
  mainTarget: 'node_modules',
  marker: 'node_modules/.installed',
  verifiesLockfile: true,
  verifiesQuickly: true,

  at(place) {
    return { ...npmRecipe, keyValues: keySettings(place) };
  },

  async targets({ dir, lockfile }) {
    return moduleFolders(readLockfile(join(dir, lockfile)));
  },

  excludes(targets) {
    return targets.flatMap((target) => BUILD_CACHES.map((name) => `${target}/.cache/${name}`));
  },

  packages: ['node_modules/*', 'node_modules/@*/*'],

  async abi(project, signal) {
    const node = requireProgram('node', project);
    return `node${isThisNode(node) ? process.versions.modules : await askNode(project, signal)}`;
  },

  witnesses() {
    return ['node_modules/.package-lock.json'];
  },

  install() {
    return { argv: ['npm', 'ci'], env: {} };
  },

  async incremental() {
    return (await import('./incremental/incremental.ts')).npmIncremental;
  },

  async holdsMore(project) {
    const { hasExtraneous } = await import('./extraneous.ts');
    return hasExtraneous(project) || (await import('./stray.ts')).strayPackage(project) !== undefined;
  },

  async verify(project) {
    return verdictOf(project, { readsManifests: false });
  },

  // `npm install --package-lock-only` writes into npm's record what it has not installed.
  async verifyThoroughly(project) {
    return verdictOf(project, { readsManifests: true });
  },
};

async function verdictOf(project: Project, options: { readsManifests: boolean }): Promise<Verdict> {
  const node = which('node', project);
  const isOurs = node === undefined || isThisNode(node);
  const host = { platform: platformOf(node), nodeVersion: isOurs ? process.versions.node : undefined };
  const { verifyTree } = await import('./verify.ts');
  try {
    return verifyTree(project, host, options);
  } catch (error) {
    // This user cannot read the tree, but others may be able to. So the machine is to blame, not the entry.
    if (error instanceof CacheError || systemCode(error) === undefined) throw error;
    return { ok: false, reason: error instanceof Error ? error.message : String(error), blame: 'machine' };
  }
}

function isThisNode(path: string): boolean {
  return realpathSync(path) === realpathSync(process.execPath);
}

async function askNode(project: Project, signal: AbortSignal): Promise<string> {
  const { status, stdout, stderr } = await runCommand(
    // Options for the application may print something, or load what is not installed yet.
    { argv: ['node', '-p', 'process.versions.modules'], env: { NODE_OPTIONS: '' } },
    { project, output: 'capture', signal },
  );
  const version = stdout.trim();
  if (status === 0 && /^\d+$/.test(version)) return version;
  throw new CacheError(
    'RUNTIME_MISSING',
    `node cannot tell its module version: ${stderr.trim().split('\n').at(-1) || `status ${status}`}`,
    { hint: 'Check that `node -p process.versions.modules` works in the project directory.' },
  );
}
