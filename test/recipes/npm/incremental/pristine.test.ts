/** Which trees a later install may build on, and what of them it keeps: with the real npm and a registry of our own. */
import {
  appendFileSync,
  chmodSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { npmIncremental } from '../../../../src/recipes/npm/incremental/incremental.ts';
import type { Project } from '../../../../src/recipes/support/recipe.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../../support/temporary.ts';
import { copyTree, npm, npmEnv, type NpmTree, projectOf, writeProject } from '../npm-tree.ts';
import { type Registry, startRegistry } from '../../registry.ts';

const run = promisify(execFile);

let folder: TemporaryFolder;
let registry: Registry;
let installed: NpmTree;
let tree: NpmTree;
let project: Project;
let copies = 0;

beforeAll(async () => {
  folder = await makeTemporaryFolder('npm-incremental');
  registry = await startRegistry([
    { manifest: { name: 'plain', version: '1.0.0' }, files: { 'index.js': '1' } },
    { manifest: { name: '@scope/plain', version: '1.0.0' }, files: { 'lib/index.js': '1' } },
    {
      manifest: { name: 'tool', version: '1.0.0', bin: { tool: 'cli.js' } },
      files: { 'cli.js': '#!/bin/sh\n' },
    },
    { manifest: { name: 'scripted', version: '1.0.0', scripts: { postinstall: 'echo made >made' } } },
    {
      manifest: {
        name: 'holder',
        version: '1.0.0',
        dependencies: { inner: '1.0.0' },
        bundleDependencies: ['inner'],
      },
      files: { 'node_modules/inner/package.json': '{"name":"inner","version":"1.0.0"}' },
    },
    { manifest: { name: 'inner', version: '1.0.0' } },
    { manifest: { name: 'gyp', version: '1.0.0' } },
  ]);
  installed = { dir: join(folder.path, 'app'), env: npmEnv(folder.path, registry) };
  const names = ['plain', '@scope/plain', 'tool', 'scripted', 'holder', 'gyp'];
  const dependencies = Object.fromEntries(names.map((name) => [name, '1.0.0']));
  await writeProject(installed.dir, { 'package.json': { name: 'app', version: '1.0.0', dependencies } });
  await npm(installed, 'install', '--package-lock-only');
  await npm(installed, 'ci');
});
afterAll(async () => {
  await registry.close();
  await folder.remove();
});

/** A tree fresh from the installer: in a copy every file would be newer than the links. */
async function install(): Promise<void> {
  const dir = join(folder.path, `fresh${++copies}`);
  mkdirSync(dir);
  tree = { ...installed, dir };
  project = projectOf(tree);
  for (const name of ['package.json', 'package-lock.json'])
    linkSync(join(installed.dir, name), join(dir, name));
  await npm(tree, 'ci');
}

const at = (path: string): string => join(tree.dir, 'node_modules', path);

describe('a tree fresh from npm', () => {
  beforeEach(install);

  it('can be built on', () => {
    expect(npmIncremental.isPristine(project)).toBe(true);
  });

  it.each<[string, () => void]>([
    ['has changed', () => appendFileSync(at('plain/index.js'), '2')],
    ['has added', () => writeFileSync(at('@scope/plain/lib/new.js'), '')],
    ['has removed', () => rmSync(at('plain/index.js'))],
    ['has made executable', () => chmodSync(at('plain/index.js'), 0o700)],
    ['has changed as the program of a command', () => appendFileSync(at('tool/cli.js'), '2')],
  ])('cannot where a script %s a file of another package', (_, change) => {
    change();
    expect(npmIncremental.isPristine(project)).toBe(false);
  });

  it.each<[string, () => void]>([
    ['its own package', () => appendFileSync(at('scripted/made'), '2')],
    ['what belongs to no package', () => mkdirSync(at('.cache'))],
    ['a package with bundled ones', () => appendFileSync(at('holder/package.json'), ' ')],
    ['another package by a hard link alone', () => linkSync(at('plain/index.js'), at('scripted/linked.js'))],
  ])('can where a script touches %s', (_, change) => {
    change();
    expect(npmIncremental.isPristine(project)).toBe(true);
  });
});

describe('a tree on top of an older one', () => {
  beforeEach(install);

  it('can be built on, unless a script has replaced a kept command by a file of the same age', async () => {
    const pruned = await npmIncremental.prune(project, new AbortController().signal);
    expect(pruned.kept).toContain('node_modules/tool');
    await npm(tree, ...npmIncremental.install(project)!.argv.slice(1));
    expect(npmIncremental.isPristine(project, pruned)).toBe(true);
    await run('cp', ['-p', at('plain/index.js'), at('tool/cli.js')]);
    expect(npmIncremental.isPristine(project, pruned)).toBe(false);
  });
});

describe('what is kept of an older tree', () => {
  beforeEach(async () => {
    tree = await copyTree(installed, join(folder.path, `copy${++copies}`));
    project = projectOf(tree);
  });

  const prune = async (...stays: string[]): Promise<string[]> => {
    const { signal } = new AbortController();
    return [...(await npmIncremental.prune(project, signal, new Set(stays))).kept].sort();
  };

  it('is what comes from the registry and runs no script, with its links; the rest is gone', async () => {
    mkdirSync(at('.prisma'));
    mkdirSync(at('unknown'));
    symlinkSync('../unknown/cli.js', at('.bin/unknown'));
    writeFileSync(at('@scope/file'), '');
    writeFileSync(at('.sandbox-cache-receipt.json'), '');
    expect(await prune()).toEqual(
      ['@scope/plain', 'gyp', 'plain', 'tool'].map((name) => `node_modules/${name}`),
    );
    expect(readdirSync(at('.')).sort()).toEqual(
      ['.bin', '.package-lock.json', '.sandbox-cache-receipt.json', '@scope', 'gyp', 'plain', 'tool'].sort(),
    );
    expect(readdirSync(at('.bin'))).toEqual(['tool']);
    expect(readdirSync(at('@scope'))).toEqual(['plain']);
  });

  it.each<[string, string, () => void]>([
    ['is compiled by itself', 'gyp', () => writeFileSync(at('gyp/binding.gyp'), '{}')],
    ['lacks its manifest', 'plain', () => rmSync(at('plain/package.json'))],
    ['lacks the link of a command', 'tool', () => rmSync(at('.bin/tool'))],
    [
      'has a link to something else',
      'tool',
      () => {
        rmSync(at('.bin/tool'));
        symlinkSync('../plain/index.js', at('.bin/tool'));
      },
    ],
    [
      'holds what nobody has recorded',
      'plain',
      () => mkdirSync(at('plain/node_modules/x'), { recursive: true }),
    ],
    [
      'is a link',
      'plain',
      () => {
        rmSync(at('plain'), { recursive: true });
        symlinkSync('gyp', at('plain'));
      },
    ],
    [
      'is patched',
      'plain',
      () => {
        mkdirSync(join(tree.dir, 'patches'));
        writeFileSync(join(tree.dir, 'patches/tool++plain+1.0.0.dev.patch'), '');
      },
    ],
  ])('is no package that %s', async (_, name, change) => {
    change();
    await prune();
    expect(readdirSync(at('.'))).not.toContain(name);
  });

  it('is nothing without npm’s record of the tree', async () => {
    rmSync(at('.package-lock.json'));
    expect(await prune()).toEqual([]);
  });

  it('is nothing of what stays where it is, which is not touched either', async () => {
    for (const name of ['.cache', 'lost+found', '@mounted']) {
      mkdirSync(at(name));
      writeFileSync(join(at(name), 'precious'), '');
    }
    writeFileSync(at('plain/precious'), '');
    const names = ['.cache', 'lost+found', '@mounted', 'plain'];
    const kept = await prune(...names.map((name) => `node_modules/${name}`));
    expect(kept).toEqual(['@scope/plain', 'gyp', 'tool'].map((name) => `node_modules/${name}`));
    for (const name of names) expect(readdirSync(at(name))).toContain('precious');
    expect(readFileSync(at('.package-lock.json'), 'utf8')).not.toContain('node_modules/plain"');
  });

  it('is untouched through a link from one folder of packages into another', async () => {
    const lock = JSON.parse(readFileSync(join(tree.dir, 'package-lock.json'), 'utf8')) as {
      packages: Record<string, object>;
    };
    lock.packages['packages/a'] = { version: '1.0.0' };
    writeFileSync(join(tree.dir, 'package-lock.json.new'), JSON.stringify(lock));
    renameSync(join(tree.dir, 'package-lock.json.new'), join(tree.dir, 'package-lock.json'));
    mkdirSync(join(tree.dir, 'packages/a'), { recursive: true });
    symlinkSync('../../node_modules', join(tree.dir, 'packages/a/node_modules'));
    expect(await prune('packages/a/node_modules')).toContain('node_modules/plain');
    expect(readdirSync(at('plain'))).toContain('index.js');
  });

  it('follows no link out of the tree', async () => {
    const outside = join(tree.dir, 'outside');
    mkdirSync(outside);
    writeFileSync(join(outside, 'precious'), '');
    for (const place of ['@scope', 'plain', '.bin', 'holder']) {
      rmSync(at(place), { recursive: true });
      symlinkSync(outside, at(place));
    }
    await prune();
    expect(readdirSync(outside)).toEqual(['precious']);
  });
});
