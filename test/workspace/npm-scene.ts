/** npm projects of made-up packages, big enough to be killed half-way, in every kind of place: for `restore npm` as built. */
import { execFileSync } from 'node:child_process';
import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { writeReceipts } from '../../src/workspace/notes/receipt.ts';
import type { Mount } from './kinds.ts';

const ROOT = 'node_modules';
const WORKSPACE = 'packages/a/node_modules';

export interface NpmKind {
  name: string;
  mounts: boolean;
  /** Old tree or new one at any moment. */
  plain: boolean;
  workspace: boolean;
  /** Makes the project with its old tree, and whatever is special about it. */
  make: (scene: { base: string; project: string }, mount: Mount) => void;
}

export const NPM_KINDS: readonly NpmKind[] = [
  {
    name: 'nothing there',
    mounts: false,
    plain: true,
    workspace: false,
    make: ({ project }) => makeProject(project, false),
  },
  {
    name: 'a directory',
    mounts: false,
    plain: true,
    workspace: false,
    make: ({ project }) => {
      makeProject(project, false);
      makeOld(project, false);
    },
  },
  {
    name: 'two directories',
    mounts: false,
    plain: false,
    workspace: true,
    make: ({ project }) => {
      makeProject(project, true);
      makeOld(project, true);
    },
  },
  {
    name: 'a symlink',
    mounts: false,
    plain: true,
    workspace: false,
    make: ({ base, project }) => {
      makeProject(project, false);
      mkdirSync(join(base, 'cache/node_modules'), { recursive: true });
      symlinkSync('../cache/node_modules', join(project, ROOT));
      makeOld(project, false);
    },
  },
  {
    name: 'a mount point (tmpfs)',
    mounts: true,
    plain: false,
    workspace: false,
    make: ({ project }, mount) => {
      makeProject(project, false);
      mkdirSync(join(project, ROOT));
      mount('-t', 'tmpfs', 'none', join(project, ROOT));
      makeOld(project, false);
    },
  },
  {
    name: 'a bind mount',
    mounts: true,
    plain: false,
    workspace: false,
    make: ({ base, project }, mount) => {
      makeProject(project, false);
      for (const dir of [join(project, ROOT), join(base, 'volume')]) mkdirSync(dir);
      mount('--bind', join(base, 'volume'), join(project, ROOT));
      makeOld(project, false);
    },
  },
  {
    name: 'a directory with a mount point in it',
    mounts: true,
    plain: false,
    workspace: false,
    make: ({ project }, mount) => {
      makeProject(project, false);
      makeOld(project, false);
      mkdirSync(join(project, ROOT, '.cache'));
      mount('-t', 'tmpfs', 'none', join(project, ROOT, '.cache'));
    },
  },
  {
    name: 'two directories of a lower overlayfs layer',
    mounts: true,
    plain: false,
    workspace: true,
    make: ({ base, project }, mount) => {
      const image = join(base, 'image');
      makeProject(image, true);
      makeOld(image, true);
      mkdirSync(join(base, 'layers'));
      mount('-t', 'tmpfs', 'none', join(base, 'layers'));
      for (const dir of ['upper', 'work']) mkdirSync(join(base, 'layers', dir));
      const layers = `lowerdir=${image},upperdir=${base}/layers/upper,workdir=${base}/layers/work`;
      mount('-t', 'overlay', 'overlay', '-o', layers, project);
    },
  },
  {
    name: 'two directories on different file systems',
    mounts: true,
    plain: false,
    workspace: true,
    make: ({ project }, mount) => {
      mkdirSync(join(project, 'packages'));
      mount('-t', 'tmpfs', 'none', join(project, 'packages'));
      makeProject(project, true);
      makeOld(project, true);
    },
  },
];

export interface NpmScene {
  base: string;
  project: string;
  targets: readonly string[];
  remove: () => void;
}

/** With version `old` in place. */
export function makeNpmScene(kind: NpmKind): NpmScene {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-npm-')));
  const project = join(base, 'project');
  mkdirSync(project);
  const mounted: string[] = [];
  const remove = (): void => {
    for (const point of mounted.reverse()) execFileSync('umount', ['-l', point]);
    rmSync(base, { recursive: true, force: true });
  };
  try {
    kind.make({ base, project }, (...args) => {
      execFileSync('mount', args);
      mounted.push(args.at(-1) ?? '');
    });
    return { base, project, targets: targetsOf(kind.workspace), remove };
  } catch (error) {
    remove();
    throw error;
  }
}

/** A project with version `new` installed, to be saved. */
export function makeInstalled(project: string, workspace: boolean): void {
  makeProject(project, workspace);
  makeTrees(project, workspace, 'new');
}

/** `old`, `new`, `absent`, or `mixed: …` and what is wrong. */
export function npmVersionOf(project: string, target: string): string {
  const dir = join(project, target);
  if (lstatSync(join(dir, '.'), { throwIfNoEntry: false }) === undefined) return 'absent';
  const wanted = new Map(filesOf(target).map(([path, content]) => [path, content]));
  const versions = new Set<string>();
  const odd: string[] = [];
  for (const name of readdirSync(dir, { recursive: true }) as string[]) {
    if (/^\.sandbox-cache-|^\.installed$|^\.cache|^\.package-lock\.json$|^@w/.test(name)) continue;
    if (lstatSync(join(dir, name)).isDirectory()) continue;
    const content = wanted.get(name);
    const version = ['old', 'new'].find(
      (known) => readFileSync(join(dir, name), 'utf8') === content?.(known),
    );
    if (version === undefined) odd.push(name);
    else versions.add(version);
    wanted.delete(name);
  }
  const [version] = versions;
  if (odd.length === 0 && wanted.size === 0 && versions.size === 1 && version !== undefined) return version;
  if (odd.length === 0 && versions.size === 0) return 'absent';
  return `mixed: ${[...versions].join('+')}, ${wanted.size} missing, ${odd.length} odd ${odd[0] ?? ''}`;
}

function targetsOf(workspace: boolean): string[] {
  return workspace ? [ROOT, WORKSPACE] : [ROOT];
}

const PACKAGES = 120;
const FILES = 6;

/** Paths in a target, and their content in a version. */
function filesOf(target: string): [path: string, content: (version: string) => string][] {
  return packageNames(target).flatMap((name) => {
    const manifest = (version: string): string =>
      JSON.stringify({ name, version: '1.0.0', description: version });
    const files = Array.from({ length: FILES }, (_, n): [string, (version: string) => string] => [
      `${name}/lib/${n}.js`,
      (version) => `// ${version} ${name} ${n}\n`.repeat(20 * (n + 1)),
    ]);
    return [[`${name}/package.json`, manifest], ...files];
  });
}

function packageNames(target: string): string[] {
  const count = target === ROOT ? PACKAGES : PACKAGES / 4;
  return Array.from({ length: count }, (_, n) => `${target === ROOT ? 'p' : 'inner'}${n}`);
}

function makeProject(project: string, workspace: boolean): void {
  mkdirSync(project, { recursive: true });
  const manifest = { name: 'root', version: '1.0.0', ...(workspace ? { workspaces: ['packages/a'] } : {}) };
  const dependencies = Object.fromEntries(packageNames(ROOT).map((name) => [name, '1.0.0']));
  writeFileSync(join(project, 'package.json'), JSON.stringify({ ...manifest, dependencies }));
  writeFileSync(
    join(project, 'package-lock.json'),
    lockfile({ '': { ...manifest, dependencies }, ...locked(workspace) }),
  );
  if (!workspace) return;
  mkdirSync(join(project, 'packages/a'), { recursive: true });
  writeFileSync(join(project, 'packages/a/package.json'), JSON.stringify(workspaceManifest()));
}

function workspaceManifest(): object {
  const dependencies = Object.fromEntries(packageNames(WORKSPACE).map((name) => [name, '1.0.0']));
  return { name: '@w/a', version: '1.0.0', dependencies };
}

function locked(workspace: boolean): Record<string, object> {
  const places = targetsOf(workspace).flatMap((target) =>
    packageNames(target).map((name) => `${target}/${name}`),
  );
  return {
    ...(workspace
      ? { 'packages/a': workspaceManifest(), 'node_modules/@w/a': { resolved: 'packages/a', link: true } }
      : {}),
    ...Object.fromEntries(places.map((place) => [place, { version: '1.0.0' }])),
  };
}

function lockfile(packages: Record<string, object>): string {
  return JSON.stringify({ name: 'root', version: '1.0.0', lockfileVersion: 3, requires: true, packages });
}

function makeOld(project: string, workspace: boolean): void {
  makeTrees(project, workspace, 'old');
  const targets = targetsOf(workspace);
  const receipt = {
    key: 'old',
    targets,
    witness: '',
    origin: 'unchecked',
    installSeconds: 0,
    bytes: 0,
    files: 0,
  };
  writeReceipts(project, receipt, { path: 'node_modules/.installed', sha256: 'old' });
}

function makeTrees(project: string, workspace: boolean, version: string): void {
  for (const target of targetsOf(workspace)) {
    for (const [path, content] of filesOf(target)) {
      const full = join(project, target, path);
      mkdirSync(dirname(full), { recursive: true });
      writeFileSync(full, content(version));
    }
  }
  if (workspace) {
    mkdirSync(join(project, ROOT, '@w'));
    symlinkSync('../../packages/a', join(project, ROOT, '@w/a'));
  }
  writeFileSync(join(project, ROOT, '.package-lock.json'), lockfile(locked(workspace)));
}
