/**
 * One round: a random project is installed by a real npm from a registry of its own, then damaged in several ways. Each
 * time our verdict has to be npm's own: what npm would leave as it is passes, and what npm would add or change does not.
 */
import { execFile } from 'node:child_process';
import {
  cpSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { npmRecipe } from '../../../src/recipes/npm.ts';
import { type Packages, readLockfile } from '../../../src/recipes/npm/lockfile.ts';
import type { Verdict } from '../../../src/recipes/recipe.ts';
import { npmEnv } from '../../recipes/npm-tree.ts';
import { startRegistry } from '../../recipes/registry.ts';
import { randomSource } from '../../support/tree.ts';
import { DAMAGES } from './damages.ts';
import { type Oracle, openOracle, type Plan } from './oracle.ts';
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
      const difference = compare({ kind, what, tree, baseline, plan }, after);
      if (difference !== undefined) findings.push(`${what}: ${difference}`);
    }
  } finally {
    await registry.close();
  }
  return { compared, findings };
}

interface Tree {
  dir: string;
  env: Record<string, string>;
}

async function install(tree: Tree, project: RandomProject, npms: readonly Npm[]): Promise<void> {
  for (const [path, content] of Object.entries(project.files)) {
    const file = join(tree.dir, path);
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(
      file,
      typeof content === 'string' || Buffer.isBuffer(content) ? content : JSON.stringify(content),
    );
  }
  if (project.locksWithSettings) applySettings(tree, project);
  const lockfileVersion = `--lockfile-version=${project.lockfileVersion}`;
  await npm(npms[project.npm.lock]!, tree, ['install', '--package-lock-only', lockfileVersion]);
  applySettings(tree, project);
  for (const folder of project.absent)
    renameSync(join(tree.dir, folder), join(tree.dir, '..', folder.replace('/', '-')));
  await npm(npms[project.npm.install]!, tree, [project.command, lockfileVersion]);
}

function applySettings({ dir, env }: Tree, { settings }: RandomProject): void {
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

async function npm({ root }: Npm, { dir, env }: Tree, args: string[]): Promise<void> {
  await run(process.execPath, [join(root, 'bin/npm-cli.js'), ...args], { cwd: dir, env });
}

function verify({ dir, env }: Tree): Promise<Verdict> {
  return npmRecipe.verify({ dir, env, lockfile: 'package-lock.json' }, new AbortController().signal);
}

interface Case {
  kind: string;
  what: string;
  tree: Tree;
  baseline: Plan;
  plan: Plan;
}

/** @returns how we differ from npm, unless an exception allows it */
function compare(found: Case, verdict: Verdict): string | undefined {
  const { kind, tree, baseline, plan } = found;
  const add = [...plan.add].filter((location) => !baseline.add.has(location));
  const change = [...plan.change].filter((location) => !baseline.change.has(location));
  const lockfile = readLockfile(join(tree.dir, 'package-lock.json'));
  if (verdict.ok) {
    // Version 1 does not tell who depends on whom, and a workspace that is not here excuses what hangs on it.
    if (!lockfile.has('') || kind === 'removeWorkspace') return undefined;
    const serious = [
      ...add.filter((location) => !mayBeMissing(lockfile, location)).map((location) => `add ${location}`),
      ...change
        .filter((location) => !mayDiffer(found, lockfile, location))
        .map((location) => `change ${location}`),
    ];
    return serious.length === 0 ? undefined : `we pass, npm would ${serious.join(', ')}`;
  }
  // What npm would change or add anyway hides what it thinks of the damage.
  if (baseline.change.size > 0 && !HARMLESS.has(kind)) return undefined;
  if ([...baseline.add].some((location) => verdict.reason.startsWith(`${location} `))) return undefined;
  if (
    add.length + change.length > 0 ||
    STRICTER.has(kind) ||
    (STRICTER_IF_LINKED.has(kind) && existsSync(join(tree.dir, 'node_modules/.store'))) ||
    BUNDLED.test(verdict.reason)
  )
    return undefined;
  return `npm would leave it, we say: ${verdict.reason}`;
}

/** npm passes over these, though the tree is of no use then. */
const STRICTER = new Set(['danglingLink', 'linkInItsPlace']);

/** In a linked tree npm looks whether each folder of the store is there, not at what is in it. */
const STRICTER_IF_LINKED = new Set(['otherVersion', 'removeManifest', 'emptyPackage', 'fileInItsPlace']);

/** npm does not look into what a package brings along. */
const BUNDLED = /bundler\/node_modules\/(?:\.bin\/)?inner /;

const HARMLESS = new Set(['removeRecord', 'outdateRecord', 'addPackage']);

/** Optional packages that npm may well have left out itself: nobody can tell. */
function mayBeMissing(lockfile: Packages, location: string): boolean {
  // In the store of a linked tree places have names of npm's own.
  if (location.includes('.store/')) return MAY_FAIL.test(location);
  const entry = lockfile.get(location);
  return entry?.optional === true && (entry.peer === true || MAY_FAIL.test(location));
}

const MAY_FAIL =
  /(?:^|\/)(?:fails|scripted|late-bin|odd-node|newer-npm|needs-there|sharp-linux.*|native-linux-.*)$/;

/** What npm would change, though nothing is wrong with it or nobody can tell. */
function mayDiffer({ kind, what, tree }: Case, lockfile: Packages, location: string): boolean {
  const { link, resolved = '', hasInstallScript, optional } = lockfile.get(location) ?? {};
  // Several packages have commands of these names.
  if (/\.bin\/(?:same|other)$/.test(what)) return true;
  if (location.includes('.store/') && MAY_FAIL.test(location)) return true;
  // npm itself may not have linked these: the file came later.
  if (kind.endsWith('Command') && (link === true || hasInstallScript === true)) return true;
  if (kind === 'fileInItsPlace' && optional === true && MAY_FAIL.test(location)) return true;
  // The copy of a linked folder does not tell where it is from. Without its record npm copies it again, though it is the same.
  if (link === true && isCopyOf(join(tree.dir, location), join(tree.dir, resolved))) return true;
  return link === true && !existsSync(join(tree.dir, resolved, 'package.json'));
}

function isCopyOf(copy: string, folder: string): boolean {
  const [manifest, original] = [join(copy, 'package.json'), join(folder, 'package.json')];
  if (lstatSync(copy, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
  return (
    existsSync(manifest) && existsSync(original) && readFileSync(manifest).equals(readFileSync(original))
  );
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
