import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { mkdir, rename, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';
import { copyTree, npm, npmEnv, type NpmTree, projectOf, verify, writeProject } from './npm-tree.ts';
import { packTarball, type Published, type Registry, startRegistry } from '../registry.ts';

/** npm clones with it. */
const hasGit = spawnSync('git', ['--version']).status === 0;
const { platform, arch } = process;
const otherOs = platform === 'linux' ? 'darwin' : 'linux';

const PACKAGES: Published[] = [
  { manifest: { name: 'plain', version: '1.0.0' }, files: { 'index.js': '' } },
  {
    manifest: { name: 'plain', version: '2.0.0', bin: { plain: 'cli.js' } },
    files: { 'cli.js': '#!/usr/bin/env node\n' },
  },
  {
    manifest: { name: '@scope/lib', version: '1.2.3', bin: 'bin/lib.js', dependencies: { plain: '^1.0.0' } },
    files: { 'bin/lib.js': '#!/usr/bin/env node\n' },
  },
  { manifest: { name: 'devtool', version: '3.0.0', dependencies: { devdep: '1.0.0', both: '1.0.0' } } },
  { manifest: { name: 'both', version: '1.0.0' } },
  { manifest: { name: 'devdep', version: '1.0.0' } },
  {
    manifest: {
      name: 'native',
      version: '1.0.0',
      optionalDependencies: { '@native/here': '1.0.0', '@native/there': '1.0.0', '@native/future': '1.0.0' },
    },
  },
  {
    manifest: {
      name: '@native/here',
      version: '1.0.0',
      os: [platform],
      cpu: [arch],
      engines: { node: '>=18' },
    },
  },
  { manifest: { name: '@native/there', version: '1.0.0', os: [otherOs], cpu: ['any'] } },
  {
    manifest: {
      name: '@native/future',
      version: '1.0.0',
      os: [platform],
      cpu: [arch],
      engines: { node: '>=99' },
    },
  },
  {
    manifest: {
      name: 'flaky',
      version: '1.0.0',
      os: [platform],
      scripts: { install: 'exit 1' },
      dependencies: { both: '1.0.0' },
    },
  },
  {
    manifest: {
      name: 'wants-peer',
      version: '1.0.0',
      peerDependencies: { peer: '*', 'peer-optional': '*' },
      peerDependenciesMeta: { 'peer-optional': { optional: true } },
    },
  },
  { manifest: { name: 'peer', version: '5.0.0' } },
  { manifest: { name: 'peer-optional', version: '5.0.0' } },
  {
    manifest: {
      name: 'bundler',
      version: '1.0.0',
      bundleDependencies: ['bundled'],
      dependencies: { bundled: '9.0.0' },
    },
    files: {
      'node_modules/bundled/package.json': JSON.stringify({
        name: 'bundled',
        version: '9.0.0',
        bin: { bundled: 'b.js' },
      }),
      'node_modules/bundled/b.js': '#!/usr/bin/env node\n',
    },
  },
  { manifest: { name: 'bundled', version: '9.0.0', bin: { bundled: 'b.js' } }, files: { 'b.js': '' } },
];

const ROOT = {
  name: 'root',
  version: '1.0.0',
  workspaces: ['packages/*'],
  dependencies: {
    '@scope/lib': '^1.0.0',
    renamed: 'npm:plain@2.0.0',
    bundler: '1.0.0',
    native: '1.0.0',
    'wants-peer': '1.0.0',
    packed: 'file:packed.tgz',
    folder: 'file:folder',
  },
  devDependencies: { devtool: '3.0.0' },
  optionalDependencies: { flaky: '1.0.0', '@native/there': '1.0.0' },
};

/** Every kind of dependency that npm knows, installed with `npm ci`. */
const FILES = {
  'package.json': ROOT,
  'packages/a/package.json': {
    name: '@ws/a',
    version: '1.0.0',
    bin: { a: './a.js', unbuilt: './dist/a.js' },
    dependencies: { plain: '2.0.0', '@ws/b': '*' },
  },
  'packages/a/a.js': '#!/usr/bin/env node\n',
  'packages/b/package.json': { name: '@ws/b', version: '1.0.0', devDependencies: { devdep: '1.0.0' } },
  'folder/package.json': { name: 'folder', version: '0.0.1' },
};

let home: string;
let registry: Registry;
let full: NpmTree;
let copies = 0;

beforeAll(async () => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-npm-')));
  registry = await startRegistry(PACKAGES);
  full = await project('full', FILES, { git: true });
  await npm(full, 'install', '--package-lock-only', '--ignore-scripts');
  await npm(full, 'ci');
});

afterAll(async () => {
  await registry.close();
  rmSync(home, { recursive: true, force: true });
});

async function project(
  name: string,
  files: Record<string, object | string>,
  { git = false } = {},
): Promise<NpmTree> {
  const dir = join(home, name);
  await writeProject(dir, files);
  writeFileSync(join(dir, 'packed.tgz'), packTarball({ manifest: { name: 'packed', version: '4.0.0' } }));
  if (git && hasGit) {
    const url = gitDependency(join(home, `${name}-git`));
    const manifest = { ...ROOT, dependencies: { ...ROOT.dependencies, cloned: url } };
    await writeProject(dir, { 'package.json': manifest });
  }
  return { dir, env: npmEnv(home, registry) };
}

function gitDependency(dir: string): string {
  execFileSync('git', ['init', '-q', dir]);
  writeFileSync(join(dir, 'package.json'), JSON.stringify({ name: 'cloned', version: '7.0.0' }));
  const author = ['-c', 'user.name=test', '-c', 'user.email=test@example.com'];
  execFileSync('git', ['-C', dir, 'add', '.']);
  execFileSync('git', ['-C', dir, ...author, 'commit', '-qm', 'first']);
  return `git+file://${dir}`;
}

/** A copy to break, with what the record says about it: as installed, or older than a directory of the tree. */
async function broken(change: (dir: string) => Promise<void>): Promise<string[]> {
  const reasons = [];
  for (const record of ['believed', 'outdated', 'missing']) {
    const tree = await copyTree(full, join(home, `copy-${copies++}`));
    await change(tree.dir);
    const hidden = join(tree.dir, 'node_modules/.package-lock.json');
    if (record === 'believed') utimesSync(hidden, new Date(), new Date());
    if (record === 'outdated') utimesSync(hidden, new Date(0), new Date(0));
    if (record === 'missing') await rm(hidden);
    reasons.push(await verify(tree));
  }
  return reasons;
}

describe('a tree of npm ci', () => {
  it('passes with every kind of dependency', async () => {
    expect(await verify(full)).toBe('ok');
  });

  it('passes as a restore leaves it, whether npm believes its record or not', async () => {
    expect(await broken(async () => {})).toEqual(['ok', 'ok', 'ok']);
  });

  it('is every node_modules of the workspaces, the root first', async () => {
    const targets = await npmRecipe.targets(projectOf(full));
    expect(targets).toEqual([
      'node_modules',
      'folder/node_modules',
      'packages/a/node_modules',
      'packages/b/node_modules',
    ]);
  });

  it('passes without dev dependencies, where the environment says so', async () => {
    const tree = await copyTree(full, join(home, 'omit-dev'));
    await npm(tree, 'ci', '--omit=dev');
    expect(await verify({ ...tree, env: { ...tree.env, npm_config_omit: 'dev' } })).toBe('ok');
    expect(await verify({ ...tree, env: { ...tree.env, NODE_ENV: 'production' } })).toBe('ok');
    await writeFile(join(tree.dir, '.npmrc'), 'omit[]=dev\n');
    expect(await verify(tree)).toBe('ok');
    await rm(join(tree.dir, '.npmrc'));
    expect(await verify(tree)).toMatch(/is missing \(and \d more\): .*npm_config_omit=dev/);
    expect(
      await verify({ ...tree, env: { ...tree.env, NODE_ENV: 'production', npm_config_include: 'dev' } }),
    ).toMatch(/is missing \(and \d more\): dev/);
  });

  it('passes without optional ones, without peers and without bin links, where the environment says so', async () => {
    for (const [name, setting] of [
      ['npm_config_omit', 'optional'],
      ['npm_config_omit', 'peer'],
      ['npm_config_bin_links', 'false'],
    ] as const) {
      const tree = await copyTree(full, join(home, `without-${copies++}`));
      const env = { ...tree.env, [name]: setting };
      await npm({ ...tree, env }, 'ci');
      expect(await verify({ ...tree, env }), `${name}=${setting}`).toBe('ok');
    }
  });

  it.each(['linked', 'nested', 'shallow'])('passes with install-strategy=%s', async (strategy) => {
    const tree = await project(`strategy-${strategy}`, FILES);
    const env = { ...tree.env, npm_config_install_strategy: strategy };
    await npm({ ...tree, env }, 'install');
    expect(await verify({ ...tree, env })).toBe('ok');
    const store = join(tree.dir, 'node_modules/.store');
    if (!existsSync(store)) return;
    const unit = readdirSync(store).find((name) => name.startsWith('peer@'))!;
    await rm(join(store, unit), { recursive: true });
    expect(await verify({ ...tree, env })).toMatch(/peer leads to no package/);
    await rm(store, { recursive: true });
    expect(await verify({ ...tree, env })).not.toBe('ok');
  });

  it.each([1, 2])('passes with a lockfile of version %i', async (version) => {
    const tree = await project(
      `version-${version}`,
      {
        'package.json': { ...ROOT, workspaces: undefined },
        'folder/package.json': FILES['folder/package.json'],
      },
      { git: version === 2 },
    );
    await npm(tree, 'install', '--package-lock-only', `--lockfile-version=${version}`);
    expect(JSON.parse(readFileSync(join(tree.dir, 'package-lock.json'), 'utf8'))).toHaveProperty(
      'lockfileVersion',
      version,
    );
    // npm 7 and later refuse to `ci` a version 1 lockfile with a tarball of the project in it.
    await npm(tree, ...(version === 1 ? ['install', '--lockfile-version=1'] : ['ci']));
    expect(await verify(tree)).toBe('ok');
    await rm(join(tree.dir, 'node_modules/.package-lock.json'), { force: true });
    expect(await verify(tree)).toBe('ok');
    await rm(join(tree.dir, 'node_modules/plain'), { recursive: true });
    expect(await verify(tree)).toBe('node_modules/plain is missing');
    await unlink(join(tree.dir, 'node_modules/folder'));
    expect(await verify(tree)).toBe('node_modules/folder is missing (and 1 more)');
  });

  it('takes the shrinkwrap before the lockfile, as npm does', async () => {
    const tree = await copyTree(full, join(home, 'shrinkwrap'));
    await rename(join(tree.dir, 'package-lock.json'), join(tree.dir, 'npm-shrinkwrap.json'));
    await writeFile(join(tree.dir, 'package-lock.json'), '{}');
    expect(projectOf(tree).lockfile).toBe('npm-shrinkwrap.json');
    expect(await verify(tree)).toBe('ok');
  });

  it('passes where there is nothing to install', async () => {
    const tree = await project('nothing', { 'package.json': { name: 'nothing', version: '1.0.0' } });
    await npm(tree, 'install');
    expect(await verify(tree)).toBe('ok');
  });
});

describe('a tree that is not what the lockfile asks for', () => {
  it('lacks a package', async () => {
    const reasons = await broken((dir) => rm(join(dir, 'node_modules/@scope/lib'), { recursive: true }));
    for (const reason of reasons) expect(reason).toMatch('node_modules/@scope/lib is missing');
  });

  it('lacks a package of a workspace', async () => {
    const reasons = await broken((dir) =>
      rm(join(dir, 'packages/a/node_modules/plain'), { recursive: true, force: true }).then(() =>
        rm(join(dir, 'node_modules/plain'), { recursive: true }),
      ),
    );
    for (const reason of reasons) expect(reason).toMatch(/node_modules\/plain is missing/);
  });

  it('has another version', async () => {
    const reasons = await broken(async (dir) => {
      const lockfile = join(dir, 'package-lock.json');
      const text = readFileSync(lockfile, 'utf8').replaceAll('"version": "1.2.3"', '"version": "1.2.4"');
      await writeFile(lockfile, text);
    });
    for (const reason of reasons) {
      expect(reason).toBe('node_modules/@scope/lib is 1.2.3, package-lock.json asks for 1.2.4');
    }
  });

  it('has a replaced package, which makes npm disbelieve its record', async () => {
    const tree = await copyTree(full, join(home, `copy-${copies++}`));
    const lib = join(tree.dir, 'node_modules/@scope/lib');
    await rm(lib, { recursive: true });
    await writeProject(lib, { 'package.json': { name: '@scope/lib', version: '0.0.1' }, 'bin/lib.js': '' });
    const later = new Date(Date.now() + 60_000);
    utimesSync(lib, later, later);
    expect(await verify(tree)).toBe('node_modules/@scope/lib is 0.0.1, package-lock.json asks for 1.2.3');
  });

  it('has the same version with other contents, by integrity and by commit', async () => {
    const lockfileWith = (pattern: RegExp, replacement: string) => async (): Promise<string> => {
      const tree = await copyTree(full, join(home, `copy-${copies++}`));
      const lockfile = join(tree.dir, 'package-lock.json');
      await writeFile(lockfile, readFileSync(lockfile, 'utf8').replace(pattern, replacement));
      return verify(tree);
    };
    const integrity = lockfileWith(/("node_modules\/peer": \{[^}]*"integrity": "sha512-)..../, '$1AAAA');
    expect(await integrity()).toBe('node_modules/peer has another integrity than package-lock.json asks for');
    if (!hasGit) return;
    const commit = lockfileWith(/(git\+file:[^"]*#)..../, '$1ffff');
    expect(await commit()).toMatch(/^node_modules\/cloned is at commit .*, package-lock.json asks for ffff/);
  });

  it('lost a bin link, or the link leads nowhere', async () => {
    const lost = await broken((dir) => unlink(join(dir, 'node_modules/.bin/lib')));
    expect(lost).toEqual(Array(3).fill('node_modules/.bin/lib is missing'));
    const dangling = await broken(async (dir) => {
      await unlink(join(dir, 'node_modules/.bin/plain'));
      symlinkSync('../nowhere', join(dir, 'node_modules/.bin/plain'));
    });
    expect(dangling).toEqual(Array(3).fill('node_modules/.bin/plain is missing'));
  });

  it('has an empty package directory', async () => {
    const reasons = await broken(async (dir) => {
      await rm(join(dir, 'node_modules/peer'), { recursive: true });
      await mkdir(join(dir, 'node_modules/peer'));
    });
    expect(reasons[0]).toBe('node_modules/peer has no package.json');
    for (const reason of reasons) expect(reason).toMatch(/^node_modules\/peer /);
  });

  it('has a broken workspace link, or a copy in its place', async () => {
    const gone = await broken((dir) => unlink(join(dir, 'node_modules/@ws/a')));
    for (const reason of gone) expect(reason).toMatch(/node_modules\/@ws\/a is /);
    const elsewhere = await broken(async (dir) => {
      await unlink(join(dir, 'node_modules/@ws/a'));
      symlinkSync('../../packages/b', join(dir, 'node_modules/@ws/a'));
    });
    for (const reason of elsewhere) expect(reason).toMatch('node_modules/@ws/a is no link to packages/a');
    const copied = await broken(async (dir) => {
      await unlink(join(dir, 'node_modules/@ws/a'));
      await writeProject(join(dir, 'node_modules/@ws/a'), {
        'package.json': { name: '@ws/a', version: '1.0.0' },
      });
    });
    for (const reason of copied) expect(reason).toMatch('node_modules/@ws/a is ');
  });

  it('lost a bundled package', async () => {
    const reasons = await broken((dir) =>
      rm(join(dir, 'node_modules/bundler/node_modules/bundled'), { recursive: true }),
    );
    for (const reason of reasons)
      expect(reason).toMatch('node_modules/bundler/node_modules/bundled is missing');
  });

  it('lacks the optional package of this very platform, as after a broken download', async () => {
    const reasons = await broken(async (dir) => {
      await rm(join(dir, 'node_modules/@native/here'), { recursive: true });
      const hidden = join(dir, 'node_modules/.package-lock.json');
      const { packages, ...rest } = JSON.parse(readFileSync(hidden, 'utf8')) as {
        packages: Record<string, object>;
      };
      delete packages['node_modules/@native/here'];
      await writeFile(hidden, JSON.stringify({ ...rest, packages }));
    });
    expect(reasons).toEqual(Array(3).fill('node_modules/@native/here is missing'));
  });

  it('lacks what is both a dev dependency and an optional one', async () => {
    const reasons = await broken((dir) => rm(join(dir, 'node_modules/both'), { recursive: true }));
    for (const reason of reasons) expect(reason).toMatch('node_modules/both is missing');
  });

  it('cannot be read', async () => {
    const tree = await copyTree(full, join(home, `copy-${copies++}`));
    const lib = join(tree.dir, 'node_modules/@scope/lib');
    await rm(lib, { recursive: true });
    symlinkSync('lib', lib);
    expect(await verify(tree)).toMatch(/node_modules\/@scope\/lib/);
  });

  it('is not there at all', async () => {
    const tree = await copyTree(full, join(home, `copy-${copies++}`));
    await rm(join(tree.dir, 'node_modules'), { recursive: true });
    expect(await verify(tree)).toMatch(/^node_modules\/.* is missing \(and \d+ more\)$/);
  });

  it('cannot be told from a lockfile with merge conflicts', async () => {
    const tree = await copyTree(full, join(home, `copy-${copies++}`));
    await writeFile(join(tree.dir, 'package-lock.json'), '<<<<<<< HEAD\n{}');
    await expect(verify(tree)).rejects.toMatchObject({ code: 'LOCKFILE_INVALID' });
  });
});
