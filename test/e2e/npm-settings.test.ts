/** Projects whose tree npm is content with for reasons of its own: what npm calls installed is saved and restored. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { cp } from 'node:fs/promises';
import { basename, join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { npm, npmEnv, writeProject } from '../recipes/npm/npm-tree.ts';
import { type Registry, startRegistry } from '../recipes/registry.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { expectExit, useFolder, wipe } from './support.ts';

const SCRIPT = '#!/usr/bin/env node\n';
const folder = useFolder();
let registry: Registry;
let env: Record<string, string>;

beforeAll(async () => {
  registry = await startRegistry([
    { manifest: { name: 'plain', version: '1.0.0', bin: 'cli.js' }, files: { 'cli.js': SCRIPT } },
    { manifest: { name: 'devtool', version: '1.0.0' } },
    { manifest: { name: 'for-web', version: '1.0.0' } },
    {
      manifest: {
        name: 'takes-peer',
        version: '1.0.0',
        peerDependencies: { peer: '*' },
        peerDependenciesMeta: { peer: { optional: true } },
      },
    },
    { manifest: { name: 'peer', version: '1.0.0', dependencies: { inside: '1.0.0' } } },
    { manifest: { name: 'inside', version: '1.0.0' } },
    {
      manifest: {
        name: 'fetched',
        version: '1.0.0',
        bin: 'bin/tool',
        scripts: {
          postinstall:
            'mkdir -p bin ../.cache/fetched && echo tool > bin/tool && echo data > ../.cache/fetched/data',
        },
      },
    },
  ]);
});
afterAll(() => registry.close());
beforeEach(() => {
  env = { ...npmEnv(folder.path, registry), CACHE_LOCAL_DIR: join(folder.path, 'store') };
});

const MONOREPO = {
  'package.json': {
    name: 'root',
    version: '1.0.0',
    workspaces: ['packages/*'],
    dependencies: { plain: '1.0.0' },
  },
  'packages/api/package.json': { name: 'api', version: '1.0.0', bin: 'dist/api.js' },
  'packages/web/package.json': { name: 'web', version: '1.0.0', dependencies: { 'for-web': '1.0.0' } },
};

/** A project with its lockfile, not installed. */
async function project(name: string, files: Record<string, object | string>): Promise<string> {
  const dir = join(folder.path, name);
  await writeProject(dir, files);
  await npm({ dir, env }, 'install', '--package-lock-only');
  return dir;
}

/** Removes each folder and link of this name, wherever in node_modules it is. */
function removePackages(dir: string, name: string): void {
  const places = readdirSync(join(dir, 'node_modules'), { recursive: true, encoding: 'utf8' });
  for (const place of places.filter((path) => basename(path) === name))
    rmSync(join(dir, 'node_modules', place), { recursive: true });
}

async function copy(dir: string, name: string): Promise<string> {
  const to = join(folder.path, name);
  await cp(dir, to, { recursive: true, verbatimSymlinks: true });
  return to;
}

function run(dir: string, ...args: string[]): Promise<CliResult> {
  return runCli(args, { cwd: dir, env });
}

const installed = /^Node packages ready: installed and saved/m;
const restored = /^Node packages restored from local cache/m;

describe('a command without its link', () => {
  it('made by an install script is fine, and so is what the script leaves in node_modules/.cache', async () => {
    const first = await project('first', {
      'package.json': { name: 'app', version: '1.0.0', dependencies: { fetched: '1.0.0' } },
    });
    const second = await copy(first, 'second');
    expect(expectExit(await run(first, 'ensure', 'npm'), 0).stdout).toMatch(installed);
    expect(expectExit(await run(second, 'ensure', 'npm'), 0).stdout).toMatch(restored);
    expect(readFileSync(join(second, 'node_modules/fetched/bin/tool'), 'utf8')).toBe('tool\n');
    expect(readFileSync(join(second, 'node_modules/.cache/fetched/data'), 'utf8')).toBe('data\n');
  });

  it('built in a workspace after the install is fine', async () => {
    const dir = await project('project', MONOREPO);
    expect(expectExit(await run(dir, 'ensure', 'npm'), 0).stdout).toMatch(installed);
    await writeProject(dir, { 'packages/api/dist/api.js': SCRIPT });
    wipe(dir, 'node_modules');
    expectExit(await run(dir, 'restore', 'npm'), 0);
    expectExit(await run(dir, 'ensure', 'npm'), 0);
    expectExit(await run(dir, 'save', 'npm', '--force'), 0);
  });
});

it('what build tools cache is not stored', async () => {
  const dir = await project('project', MONOREPO);
  await npm({ dir, env }, 'ci');
  await writeProject(dir, {
    'node_modules/.cache/babel-loader/1.json': 'cached',
    'node_modules/.cache/other/download': 'kept',
  });
  expectExit(await run(dir, 'save', 'npm'), 0);
  wipe(dir, 'node_modules');
  expectExit(await run(dir, 'restore', 'npm'), 0);
  expect(existsSync(join(dir, 'node_modules/.cache/babel-loader'))).toBe(false);
  expect(existsSync(join(dir, 'node_modules/.cache/other/download'))).toBe(true);
});

describe('only a part of the workspaces', () => {
  it('in the checkout: restored from the whole, never saved for others', async () => {
    const whole = await project('whole', MONOREPO);
    const part = await copy(whole, 'part');
    rmSync(join(part, 'packages/web'), { recursive: true });
    const own = expectExit(await run(part, 'ensure', 'npm'), 0);
    expect(own.stderr).toMatch(/warning: npm was not saved: packages\/web is not in this checkout\. /);
    expect(existsSync(join(part, 'node_modules/for-web'))).toBe(false);
    const refused = expectExit(await run(part, 'save', 'npm'), 4);
    expect(refused.stderr).toMatch(/packages\/web is not in this checkout/);

    expect(expectExit(await run(whole, 'ensure', 'npm'), 0).stdout).toMatch(installed);
    wipe(part, 'node_modules');
    expect(expectExit(await run(part, 'restore', 'npm'), 0).stdout).toMatch(restored);
    expect(existsSync(join(part, 'node_modules/for-web'))).toBe(true);
  });

  it.each(['hoisted', 'linked'])(
    'in the checkout: an optional peer that is there needs its own dependencies (%s)',
    async (strategy) => {
      env['npm_config_install_strategy'] = strategy;
      const dir = await project('project', {
        ...MONOREPO,
        'package.json': { ...MONOREPO['package.json'], dependencies: { 'takes-peer': '1.0.0' } },
        'packages/web/package.json': { name: 'web', version: '1.0.0', dependencies: { peer: '1.0.0' } },
      });
      await npm({ dir, env }, 'ci');
      rmSync(join(dir, 'packages/web'), { recursive: true });
      const reason = async (): Promise<string> => expectExit(await run(dir, 'save', 'npm'), 4).stderr;
      removePackages(dir, 'inside');
      expect(await reason()).toMatch(/node_modules\/inside (?:is missing|leads to no package)/);
      removePackages(dir, 'peer');
      expect(await reason()).toMatch(/packages\/web is not in this checkout/);
    },
  );

  it('of no workspace at all: a Docker layer with the root’s manifests', async () => {
    const whole = await project('whole', MONOREPO);
    expectExit(await run(whole, 'ensure', 'npm'), 0);
    const layer = join(folder.path, 'layer');
    mkdirSync(layer);
    for (const file of ['package.json', 'package-lock.json']) await cp(join(whole, file), join(layer, file));
    expect(expectExit(await run(layer, 'restore', 'npm'), 0).stdout).toMatch(restored);
  });

  it('chosen by npm’s settings: its own entry', async () => {
    const dir = await project('project', MONOREPO);
    const everything = (await run(dir, 'key', 'npm')).stdout;
    writeFileSync(join(dir, '.npmrc'), 'workspace=api\n');
    expect((await run(dir, 'key', 'npm')).stdout).not.toBe(everything);
    expect(expectExit(await run(dir, 'ensure', 'npm'), 0).stdout).toMatch(installed);
    expect(existsSync(join(dir, 'node_modules/for-web'))).toBe(false);
    wipe(dir, 'node_modules');
    expect(expectExit(await run(dir, 'restore', 'npm'), 0).stdout).toMatch(restored);
  });
});

describe('the user’s configuration', () => {
  it('that leaves packages out makes another entry', async () => {
    const manifest = {
      name: 'app',
      version: '1.0.0',
      dependencies: { plain: '1.0.0' },
      devDependencies: { devtool: '1.0.0' },
    };
    const first = await project('first', { 'package.json': manifest });
    const second = await copy(first, 'second');
    writeFileSync(env['npm_config_userconfig']!, 'omit=dev\n');
    expect(expectExit(await run(first, 'ensure', 'npm'), 0).stdout).toMatch(installed);
    expect(existsSync(join(first, 'node_modules/devtool'))).toBe(false);
    rmSync(env['npm_config_userconfig']!);
    expectExit(await run(second, 'restore', 'npm'), 1);
  });

  it('that npm would never finish reading is an error, at once', async () => {
    const dir = await project('project', MONOREPO);
    symlinkSync('/dev/zero', join(dir, '.npmrc'));
    expect(expectExit(await run(dir, 'restore', 'npm'), 3).stderr).toMatch(
      /\.npmrc is not a regular file, so npm's settings are not known/,
    );
  });
});

describe('further files', () => {
  it('patches, and those that .sandbox-cache.json names, make another entry', async () => {
    const dir = await project('project', MONOREPO);
    const keys = new Set([(await run(dir, 'key', 'npm')).stdout]);
    await writeProject(dir, { 'patches/plain+1.0.0.patch': 'one' });
    keys.add((await run(dir, 'key', 'npm')).stdout);
    await writeProject(dir, { 'patches/plain+1.0.0.patch': 'two' });
    keys.add((await run(dir, 'key', 'npm')).stdout);
    await writeProject(dir, {
      'schema.txt': 'one',
      '.sandbox-cache.json': { recipes: { npm: { files: ['schema.txt'], variables: ['ENGINE'] } } },
    });
    keys.add((await run(dir, 'key', 'npm')).stdout);
    env['ENGINE'] = 'x';
    keys.add((await run(dir, 'key', 'npm')).stdout);
    expect(keys.size).toBe(5);
    const explained = expectExit(await run(dir, 'key', 'npm', '--explain'), 0).stdout;
    expect(explained).toMatch(/patches\/plain\+1\.0\.0\.patch/);
    expect(explained).toMatch(/schema\.txt/);
    expect(explained).toMatch(/ENGINE=x/);
  });
});

describe('a hostile tree', () => {
  it.each(['node_modules/.package-lock.json', 'node_modules/plain/package.json'])(
    'with %s as a link to /dev/zero is not verified',
    async (path) => {
      const dir = await project('project', MONOREPO);
      await npm({ dir, env }, 'ci');
      renameSync(join(dir, path), join(dir, 'aside'));
      symlinkSync('/dev/zero', join(dir, path));
      expect(expectExit(await run(dir, 'save', 'npm'), 4).stderr).toMatch(/was not saved: /);
    },
  );
});
