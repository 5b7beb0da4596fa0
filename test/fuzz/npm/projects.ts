/** Random projects: what people write into package.json, and the settings they install with. */
import type { Published } from '../../recipes/registry.ts';
import { packTarball } from '../../recipes/registry.ts';
import type { RandomSource } from '../../support/tree.ts';
import { SPECIAL, type Universe } from './universe.ts';

export interface RandomProject {
  /** Objects become JSON. */
  files: Record<string, object | string | Buffer>;
  /** Settings of npm, by where they are set. */
  settings: Record<'environment' | 'project' | 'user' | 'global', Record<string, string>>;
  command: 'ci' | 'install';
  lockfileVersion: 1 | 2 | 3;
  /** The lockfile is written with the settings in place. */
  locksWithSettings: boolean;
  /** Folders of workspaces that are not there when npm installs. */
  absent: string[];
  /** Which of npm's versions writes the lockfile and which installs. */
  npm: { lock: number; install: number };
}

export function makeProject(random: RandomSource, universe: Universe, versions: number): RandomProject {
  const chance = (percent: number): boolean => random.below(100) < percent;
  const workspaces = chance(50) ? Array.from({ length: 1 + random.below(3) }, (_, n) => `w${n}`) : [];
  const files: RandomProject['files'] = {};
  const root = dependencies(random, universe, []);
  if (chance(25)) {
    root.dependencies['folder'] = 'file:folder';
    files['folder/package.json'] = {
      name: 'folder',
      version: '0.0.1',
      ...dependencies(random, universe, []),
    };
  }
  if (chance(15)) {
    root[random.pick(['dependencies', 'optionalDependencies'] as const)]['packed'] = 'file:packed.tgz';
    files['packed.tgz'] = packTarball({
      manifest: { name: 'packed', version: '4.0.0', dependencies: { p9: '*' } },
    });
  }
  for (const name of workspaces)
    Object.assign(files, workspaceFiles(random, universe, { name, others: workspaces }));
  if (workspaces.length > 0 && chance(30)) root.dependencies['@w/w0'] = '*';
  files['package.json'] = {
    name: 'root',
    version: '1.0.0',
    ...(workspaces.length > 0 ? { workspaces: ['packages/*'] } : {}),
    ...(chance(15) ? { overrides: { [`p${random.below(12)}`]: random.pick(['1.0.0', '2.0.0']) } } : {}),
    ...(chance(8) ? { bundleDependencies: Object.keys(root.dependencies).slice(0, 1) } : {}),
    ...root,
  };
  return {
    files,
    settings: settings(random, workspaces),
    command: random.pick(['ci', 'ci', 'install']),
    lockfileVersion: random.pick([3, 3, 3, 3, 3, 3, 3, 2, 2, 1]),
    locksWithSettings: chance(30),
    absent: workspaces.length > 0 && chance(20) ? [`packages/${random.pick(workspaces)}`] : [],
    npm: { lock: random.below(versions), install: random.below(versions) },
  };
}

type Dependencies = Record<
  'dependencies' | 'devDependencies' | 'optionalDependencies' | 'peerDependencies',
  Record<string, string>
>;

function dependencies(random: RandomSource, universe: Universe, own: readonly string[]): Dependencies {
  const some = (most: number): Record<string, string> => {
    const names = Array.from({ length: random.below(most + 1) }, () => random.pick(universe.names));
    return Object.fromEntries(
      names.map((name) => [name, /^p\d/.test(name) ? random.pick(['*', '1.0.0', '^2.0.0']) : '*']),
    );
  };
  const found = {
    dependencies: some(3),
    devDependencies: some(2),
    optionalDependencies: some(1),
    peerDependencies: {},
  };
  if (random.below(8) === 0) found.peerDependencies = some(1);
  if (random.below(5) === 0)
    found.dependencies['renamed'] = `npm:p${random.below(12)}@${random.pick(['1.0.0', '2.0.0'])}`;
  for (let n = random.below(3); n > 0; n--)
    found.optionalDependencies[random.pick(SPECIAL).manifest.name] = '*';
  for (const name of own) found[random.pick(['dependencies', 'devDependencies'] as const)][name] = '*';
  return found;
}

function workspaceFiles(
  random: RandomSource,
  universe: Universe,
  { name, others }: { name: string; others: readonly string[] },
): RandomProject['files'] {
  const later = others.filter((other) => other > name && random.below(3) === 0).map((other) => `@w/${other}`);
  const bin =
    random.below(2) === 0 ? {} : { bin: { [`${name}-cli`]: './cli.js', [`${name}-built`]: 'dist/built.js' } };
  const manifest: Published['manifest'] = {
    name: `@w/${name}`,
    version: '1.0.0',
    ...bin,
    ...dependencies(random, universe, later),
  };
  return {
    [`packages/${name}/package.json`]: manifest,
    [`packages/${name}/cli.js`]: '#!/usr/bin/env node\n',
  };
}

function settings(random: RandomSource, workspaces: readonly string[]): RandomProject['settings'] {
  const all: RandomProject['settings'] = { environment: {}, project: {}, user: {}, global: {} };
  const others: [string, string][] = [
    ['omit', 'dev'],
    ['omit', 'optional'],
    ['omit', 'peer'],
    ['include', 'dev'],
    ['only', 'prod'],
    ['production', 'true'],
    ['optional', 'false'],
    ['bin-links', 'false'],
    ['ignore-scripts', 'true'],
    ['install-strategy', 'nested'],
    ['install-strategy', 'shallow'],
    ['install-strategy', 'linked'],
    ['install-strategy', 'linked'],
    ['legacy-peer-deps', 'true'],
    ['install-links', 'true'],
    ['cpu', 'arm64'],
    ['os', 'darwin'],
    ['libc', 'musl'],
    ...workspaces.map((name): [string, string] => [
      'workspace',
      random.pick([`@w/${name}`, `packages/${name}`]),
    ]),
    ...workspaces.map((): [string, string] => ['workspaces', 'false']),
    ...workspaces.map((): [string, string] => ['include-workspace-root', 'true']),
  ];
  for (let n = random.pick([0, 0, 1, 1, 2, 3]); n > 0; n--) {
    const [name, value] = random.pick(others);
    all[random.pick(['environment', 'project', 'user', 'global'] as const)][name] = value;
  }
  return all;
}
