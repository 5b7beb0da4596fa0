/**
 * A real npm project, installed by the real npm from its registry: a native module as an optional dependency of a scoped
 * package, programs in `.bin`, a workspace, and one version conflict that gives the workspace a node_modules of its own.
 * Built once a run (see `server-pool.ts`), copied for each test.
 */
import { execFile } from 'node:child_process';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);

const ROOT = {
  name: 'fixture',
  version: '1.0.0',
  private: true,
  workspaces: ['packages/*'],
  dependencies: { '@parcel/watcher': '2.5.1', semver: '7.7.2' },
  devDependencies: { 'is-number': '7.0.0' },
};
const WORKSPACE = { name: '@fixture/app', version: '1.0.0', dependencies: { semver: '5.7.2' } };

export interface NpmProject {
  /** package.json, package-lock.json, packages/app, node_modules and packages/app/node_modules. */
  folder: string;
  /** Where npm keeps what it downloaded: pass it on as `npm_config_cache` to install again without the network. */
  cache: string;
}

/** @throws Error with npm's own words when the registry cannot be reached */
export async function buildNpmProject(root: string): Promise<NpmProject> {
  const folder = join(root, 'npm-project');
  const cache = join(root, 'npm-cache');
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, 'packages/app'), { recursive: true });
  await writeFile(join(folder, 'package.json'), `${JSON.stringify(ROOT, null, 2)}\n`);
  await writeFile(join(folder, 'packages/app/package.json'), `${JSON.stringify(WORKSPACE, null, 2)}\n`);
  await npm(['install', '--package-lock-only'], folder, cache);
  await npm(['ci'], folder, cache);
  return { folder, cache };
}

async function npm(args: readonly string[], cwd: string, cache: string): Promise<void> {
  const quiet = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error', '--no-update-notifier'];
  const env = { ...process.env, npm_config_cache: cache };
  await run('npm', [...args, ...quiet], { cwd, env, timeout: 180_000 });
}
