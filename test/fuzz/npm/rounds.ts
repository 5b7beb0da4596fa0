/**
 * One round: a random project is installed by a real npm from a registry of its own, then damaged in several ways. Each
 * time our verdict has to be npm's own: what npm would leave as it is passes, and what npm would add or change does not.
 */
import { execFile } from 'node:child_process';
import { cpSync, mkdirSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';
import type { Project, Verdict } from '../../../src/recipes/support/recipe.ts';
import { which } from '../../../src/recipes/support/which.ts';
import { npmEnv } from '../../recipes/npm/npm-tree.ts';
import { startRegistry } from '../../recipes/registry.ts';
import { randomSource } from '../../support/tree.ts';
import { DAMAGES } from './damages.ts';
import { differenceOf } from './differences.ts';
import { type Oracle, openOracle } from './oracle.ts';
import { makeProject, type RandomProject } from './projects.ts';
import { makeUniverse } from './universe.ts';

const run = promisify(execFile);

export interface Npm {
  /** The folder of an npm package. */
  root: string;
  oracle: Oracle;
}

export interface RoundOptions {
  seed: number;
  /** An empty folder to work in. */
  folder: string;
  npms: readonly Npm[];
  damages: number;
}

export interface RoundResult {
  /** npm refused the project. */
  refused?: string;
  /** Verdicts compared. */
  compared: number;
  /** Where we and npm differ. */
  findings: string[];
}

export function openNpm(root: string): Npm {
  return { root, oracle: openOracle(root) };
}

/** The folder of the npm on PATH. */
export function installedNpm(): string {
  const program = which('npm', { dir: '/', env: { PATH: process.env['PATH'] ?? '' } });
  if (program === undefined) throw new Error('there is no npm on PATH: name one with --npm');
  return dirname(dirname(realpathSync(program)));
}

export async function playRound({ seed, folder, npms, damages }: RoundOptions): Promise<RoundResult> {
  const random = randomSource(seed);
  const universe = makeUniverse(random);
  const project = makeProject(random, universe, npms.length);
  const registry = await startRegistry(universe.packages);
  const tree = { dir: join(folder, 'project'), env: npmEnv(folder, registry) };
  try {
    await install(tree, project, npms);
  } catch (error) {
    await registry.close();
    return { refused: String((error as { stderr?: string }).stderr ?? error), compared: 0, findings: [] };
  }
  const npm = npms[project.npm.install]!;
  const findings: string[] = [];
  let compared = 0;
  try {
    const pristine = join(folder, 'pristine');
    cpSync(tree.dir, pristine, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
    const baseline = await npm.oracle(tree);
    const verdict = await verify(tree);
    compared++;
    if (!verdict.ok) findings.push(`as installed: ${verdict.reason}`);
    if (await npmRecipe.holdsMore?.(projectOf(tree))) findings.push('as installed: holds more');
    for (let n = 0; n < damages; n++) {
      rmSync(tree.dir, { recursive: true });
      cpSync(pristine, tree.dir, { recursive: true, verbatimSymlinks: true, preserveTimestamps: true });
      const kind = random.pick(Object.keys(DAMAGES));
      const done = DAMAGES[kind]!(tree.dir, random);
      if (done === undefined) continue;
      const what = `${kind} ${done}`;
      const after = await verify(tree);
      const plan = await npm.oracle(tree);
      compared++;
      const difference = differenceOf({ kind, what, dir: tree.dir, baseline, plan }, after);
      if (difference !== undefined) findings.push(`${what}: ${difference}`);
    }
  } finally {
    await registry.close();
  }
  return { compared, findings };
}

export interface Tree {
  dir: string;
  env: Record<string, string>;
}

async function install(tree: Tree, project: RandomProject, npms: readonly Npm[]): Promise<void> {
  writeProject(tree, project);
  if (project.locksWithSettings) applySettings(tree, project);
  const lockfileVersion = `--lockfile-version=${project.lockfileVersion}`;
  await npm(npms[project.npm.lock]!, tree, ['install', '--package-lock-only', lockfileVersion]);
  applySettings(tree, project);
  for (const folder of project.absent)
    renameSync(join(tree.dir, folder), join(tree.dir, '..', folder.replace('/', '-')));
  await npm(npms[project.npm.install]!, tree, [project.command, lockfileVersion]);
}

export function writeProject({ dir }: Tree, { files }: RandomProject): void {
  for (const [path, content] of Object.entries(files)) {
    const file = join(dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(
      file,
      typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content),
    );
  }
}

export function applySettings({ dir, env }: Tree, { settings }: RandomProject): void {
  for (const [name, value] of Object.entries(settings.environment))
    env[`npm_config_${name.replaceAll('-', '_')}`] = value;
  const files = {
    project: join(dir, '.npmrc'),
    user: env['npm_config_userconfig']!,
    global: env['npm_config_globalconfig']!,
  };
  for (const [where, file] of Object.entries(files)) {
    const lines = Object.entries(settings[where as keyof typeof files]).map(
      ([name, value]) => `${name}=${value}\n`,
    );
    writeFileSync(file, lines.join(''));
  }
}

export async function npm({ root }: Npm, { dir, env }: Tree, args: string[]): Promise<void> {
  await run(process.execPath, [join(root, 'bin/npm-cli.js'), ...args], { cwd: dir, env });
}

function verify(tree: Tree): Promise<Verdict> {
  return npmRecipe.verify(projectOf(tree), new AbortController().signal);
}

export function projectOf({ dir, env }: Tree): Project {
  return { dir, env, lockfile: 'package-lock.json' };
}

/** For a report: what the project of a seed is. */
export function describeProject(seed: number, versions: number): string {
  const random = randomSource(seed);
  const universe = makeUniverse(random);
  const { files, ...project } = makeProject(random, universe, versions);
  return JSON.stringify(
    {
      ...project,
      manifests: Object.fromEntries(Object.entries(files).filter(([path]) => path.endsWith('package.json'))),
    },
    null,
    1,
  );
}
