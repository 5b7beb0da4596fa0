/**
 * One bump: a random project is installed from nothing, then its package.json changes at random. The tree that comes out
 * of the older one has to be the tree that `npm ci` makes from nothing: the same paths, bytes, modes and links.
 */
import { cpSync, existsSync, lstatSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { npmIncremental } from '../../../src/recipes/npm/incremental/incremental.ts';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';
import { npmEnv } from '../../recipes/npm/npm-tree.ts';
import { type Published, startRegistry } from '../../recipes/registry.ts';
import {
  differentPaths,
  randomSource,
  type RandomSource,
  snapshotTree,
  type TreeEntry,
  withoutTimes,
} from '../../support/tree.ts';
import { makeProject, type RandomProject } from './projects.ts';
import { applySettings, npm, projectOf, type RoundOptions, type Tree, writeProject } from './rounds.ts';
import { makeUniverse } from './universe.ts';

/** Packages whose scripts do what an install on top of an older tree could get wrong. */
const MEDDLERS: readonly Published[] = ['1.0.0', '2.0.0'].flatMap((version) => [
  script('reader', version, 'cat ../p10/package.json ../p11/package.json > seen.txt 2>&1 || true'),
  script('stray-maker', version, `mkdir -p ../.made && echo ${version} > ../.made/file`),
  script('writer', version, `test ! -d ../p11 || echo ${version} >> ../p11/written`),
  script('appender', version, 'test ! -f ../p10/package.json || echo >> ../p10/package.json'),
  script('late-linker', version, 'mkdir -p ../.bin && ln -sf ../late-linker/package.json ../.bin/linked'),
]);

function script(name: string, version: string, postinstall: string): Published {
  return { manifest: { name, version, scripts: { postinstall } } };
}

export interface BumpResult {
  /**
   * - `refused` by npm, or nothing to compare: `why` tells
   * - `no base`: we do not build on such a tree
   * - `given up`: the result was found to be wrong, and an install from nothing would follow
   * - `exact`, `wrong`
   */
  type: 'refused' | 'no base' | 'given up' | 'exact' | 'wrong';
  why: string;
  /** How many packages were kept. */
  kept: number;
}

export async function playBump({ seed, folder, npms }: Omit<RoundOptions, 'damages'>): Promise<BumpResult> {
  const random = randomSource(seed);
  const universe = makeUniverse(random, random.below(3) === 0 ? MEDDLERS : []);
  const before = plainer(random, makeProject(random, universe, npms.length));
  const after = bump(random, before, universe.names);
  const registry = await startRegistry(universe.packages);
  const env = npmEnv(folder, registry);
  const at = (name: string): Tree => ({ dir: join(folder, name), env: { ...env } });
  const trees = { before: at('before'), clean: at('clean'), built: at('built') };
  const older = npms[random.below(npms.length)]!;
  const newer = npms[random.below(npms.length)]!;
  const result = (type: BumpResult['type'], why: unknown = '', kept = 0): BumpResult => ({
    type,
    why: String((why as { stderr?: string }).stderr ?? why),
    kept,
  });
  const lockfileVersion = `--lockfile-version=${before.lockfileVersion}`;
  try {
    try {
      writeProject(trees.before, before);
      await npm(older, trees.before, ['install', '--package-lock-only', lockfileVersion]);
      applySettings(trees.before, before);
      await npm(older, trees.before, ['ci', lockfileVersion]);
      writeProject(trees.clean, after);
      copyLockfile(trees.before, trees.clean);
      await npm(newer, trees.clean, ['install', '--package-lock-only', lockfileVersion]);
      applySettings(trees.clean, before);
      await npm(newer, trees.clean, ['ci', lockfileVersion]);
    } catch (error) {
      return result('refused', error);
    }
    const [base, wanted] = [projectOf(trees.before), projectOf(trees.clean)];
    if (npmIncremental.packages(base) === undefined || npmIncremental.packages(wanted) === undefined)
      return result('no base', 'settings');
    if (!npmIncremental.isPristine(base)) return result('no base', 'scripts');

    writeProject(trees.built, after);
    applySettings(trees.built, before);
    copyLockfile(trees.clean, trees.built);
    const built = projectOf(trees.built);
    for (const target of await npmRecipe.targets(base)) copyTarget(trees, target);
    const { signal } = new AbortController();
    const pruned = await npmIncremental.prune(built, signal);
    try {
      await npm(newer, trees.built, npmIncremental.install(built)!.argv.slice(1));
    } catch (error) {
      return result('given up', error);
    }
    const verdict = await npmRecipe.verifyThoroughly!(built, signal);
    const stray = npmIncremental.stray(built, pruned);
    if (!verdict.ok || stray !== undefined) return result('given up', verdict.ok ? stray : verdict.reason);
    const difference = differenceBetween(trees.clean, trees.built);
    return result(difference === undefined ? 'exact' : 'wrong', difference, pruned.kept.size);
  } finally {
    await registry.close();
  }
}

/** Most of the settings that a project may have leave nothing to compare: we do not build on such a tree. */
function plainer(random: RandomSource, project: RandomProject): RandomProject {
  if (random.below(4) === 0) return project;
  const settings = { environment: {}, project: {}, user: {}, global: {} };
  return { ...project, settings, absent: [], lockfileVersion: 3 };
}

/** What a person does between two installs. */
function bump(random: RandomSource, project: RandomProject, names: readonly string[]): RandomProject {
  const files = structuredClone(project.files);
  for (const path of Object.keys(files).filter((name) => name.endsWith('package.json'))) {
    const manifest = files[path] as Record<string, Record<string, string>>;
    for (const kind of ['dependencies', 'devDependencies', 'optionalDependencies']) {
      const list = manifest[kind];
      if (list === undefined) continue;
      for (const name of Object.keys(list)) {
        if (!/^p\d/.test(name)) continue;
        const move = random.below(4);
        if (move === 0) delete list[name];
        else if (move === 1) list[name] = random.pick(['*', '1.0.0', '^2.0.0']);
      }
      if (random.below(4) === 0) list[random.pick(names)] = '*';
    }
  }
  return { ...project, files };
}

function copyLockfile(from: Tree, to: Tree): void {
  mkdirSync(to.dir, { recursive: true });
  cpSync(join(from.dir, 'package-lock.json'), join(to.dir, 'package-lock.json'));
}

function copyTarget({ before, built }: { before: Tree; built: Tree }, target: string): void {
  if (!existsSync(join(before.dir, target))) return;
  const options = { recursive: true, verbatimSymlinks: true, preserveTimestamps: true };
  cpSync(join(before.dir, target), join(built.dir, target), options);
}

/**
 * What lies below each `node_modules`. Empty folders of scopes do not count: `npm ci` leaves them behind for packages that it
 * leaves out.
 */
function installedIn(dir: string): Record<string, TreeEntry> {
  const isEmptyScope = (path: string): boolean =>
    basename(path).startsWith('@') &&
    lstatSync(join(dir, path)).isDirectory() &&
    readdirSync(join(dir, path)).length === 0;
  const entries = Object.entries(withoutTimes(snapshotTree(dir, { skip: isEmptyScope })));
  return Object.fromEntries(entries.filter(([path]) => `/${path}/`.includes('/node_modules/')));
}

function differenceBetween(clean: Tree, built: Tree): string | undefined {
  const [a, b] = [installedIn(clean.dir), installedIn(built.dir)];
  const [path] = differentPaths(a, b);
  if (path === undefined) return undefined;
  const entries = `from nothing ${JSON.stringify(a[path])}; on a base ${JSON.stringify(b[path])}`;
  if (a[path]?.type !== 'file' || b[path]?.type !== 'file') return `${path}: ${entries}`;
  const [left, right] = [clean, built].map(({ dir }) => readFileSync(join(dir, path), 'latin1').split('\n'));
  const line = left!.findIndex((text, n) => text !== right![n]);
  return `${path}: ${entries}; line ${line + 1}: ${left![line]} / ${right![line]}`;
}
