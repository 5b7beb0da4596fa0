/**
 * One bump of a random bundle: installed from nothing, its Gemfile changed at random, and installed on top of the older bundle.
 * What comes out has to be what an install from nothing makes, but for what the build of an extension leaves behind for people:
 * `gem_make.out`, `mkmf.log`, `Makefile`. Downloaded `.gem` files are no part of an entry.
 */
import { execFile } from 'node:child_process';
import { mkdirSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { bundleRecipe } from '../../src/recipes/bundle/recipe.ts';
import type { Project } from '../../src/recipes/support/recipe.ts';
import { bundleEnvironment } from '../support/gem-project.ts';
import { buildGemSource, writeFiles, type Gem } from '../support/gem-source.ts';
import {
  differentPaths,
  randomSource,
  type RandomSource,
  snapshotTree,
  type TreeEntry,
  withoutTimes,
} from '../support/tree.ts';

const run = promisify(execFile);

const VERSIONS = ['1.0.0', '1.1.0', '2.0.0'];

/** Names of gems, each with what it depends on. Those that end in `native` are compiled. */
const DEPENDENCIES: Readonly<Record<string, readonly string[]>> = {
  leaf: [],
  other: [],
  middle: ['leaf'],
  top: ['middle', 'other'],
  'plain-native': [],
  'deep-native': ['middle'],
  user: ['deep-native'],
  tool: [],
  'tool-too': [],
};

/** Every gem in every version. A compiled one bakes the versions of what it depends on into its library. */
export function buildGems(source: string): Promise<void> {
  const gems = Object.entries(DEPENDENCIES).flatMap(([name, needed]) =>
    VERSIONS.map((version) => makeGem(name, version, needed)),
  );
  return buildGemSource(source, gems);
}

function makeGem(name: string, version: string, needed: readonly string[]): Gem {
  const spec = needed.map((other) => `s.add_dependency "${other}"`);
  const files: Record<string, string> = { [`lib/${name}.rb`]: `# ${name} ${version}\n` };
  if (name.startsWith('tool')) {
    // Both bring `shared` in their second version.
    const programs = [name, ...(version === '2.0.0' ? ['shared'] : [])];
    spec.push('s.bindir = "exe"', `s.executables = ${JSON.stringify(programs)}`);
    for (const program of programs)
      files[`exe/${program}`] = `#!/usr/bin/env ruby\nputs "${name} ${version}"\n`;
  }
  if (name.endsWith('native')) {
    const base = name.replace('-', '_');
    spec.push(`s.extensions = ["ext/${base}/extconf.rb"]`);
    files[`ext/${base}/extconf.rb`] = `require "mkmf"
seen = ${JSON.stringify(allBelow(name))}.map { |n| Gem::Specification.find_by_name(n).version.to_s }.join(" ")
$defs << %(-DSEEN='"#{seen.gsub(" ", "_")}"')
create_makefile("${base}/${base}")
`;
    files[`ext/${base}/${base}.c`] =
      `#include <ruby.h>\nvoid Init_${base}(void) { rb_define_global_const("SEEN_${base.toUpperCase()}", rb_str_new_cstr("${version} " SEEN)); }\n`;
  }
  return { name, version, spec, files };
}

function allBelow(name: string): string[] {
  const found = new Set(DEPENDENCIES[name]);
  for (const other of found) for (const next of DEPENDENCIES[other] ?? []) found.add(next);
  return [...found];
}

/** Empty: any version. */
type Gemfile = Record<string, string>;

export interface GemBump {
  /** See test/fuzz/npm/incremental.ts. */
  type: 'no base' | 'given up' | 'exact' | 'wrong';
  why: string;
  kept: number;
}

export async function playGemBump(
  seed: number,
  { folder, source }: { folder: string; source: string },
): Promise<GemBump> {
  const random = randomSource(seed);
  const before = someGems(random);
  const after = bump(random, before);
  const dir = join(folder, 'project');
  mkdirSync(dir);
  const env = bundleEnvironment(dir) as Project['env'];
  const recipe = bundleRecipe.at!({ dir, env });
  const project: Project = { dir, env, lockfile: 'Gemfile.lock' };
  const incremental = (await recipe.incremental?.())!;
  const result = (type: GemBump['type'], why = '', kept = 0): GemBump => ({ type, why, kept });
  const lock = (gems: Gemfile): Promise<unknown> => lockFor(dir, env, { gems, source });
  const install = async (): Promise<void> => {
    const { argv, env: more } = recipe.install(project)!;
    await run(argv[0], argv.slice(1), { cwd: dir, env: { ...env, ...more } });
  };
  // All three trees are made in one place: extensions name the path that they were built in.
  await lock(before);
  await install();
  if (incremental.packages(project) === undefined || !incremental.isPristine(project))
    return result('no base', 'contested programs');
  renameSync(join(dir, 'vendor'), join(folder, 'older'));
  await lock(after);
  await install();
  const clean = describe(join(dir, 'vendor'));
  rmSync(join(dir, 'vendor'), { recursive: true });
  renameSync(join(folder, 'older'), join(dir, 'vendor'));
  const pruned = await incremental.prune(project, new AbortController().signal);
  await install();
  const verdict = await recipe.verify(project, new AbortController().signal);
  const stray = incremental.stray(project, pruned);
  if (!verdict.ok || stray !== undefined) return result('given up', verdict.ok ? stray : verdict.reason);
  const built = describe(join(dir, 'vendor'));
  const different = differentPaths(clean, built);
  const kept = pruned.kept.size;
  return different.length === 0
    ? result('exact', '', kept)
    : result('wrong', different.slice(0, 5).join(', '), kept);
}

async function lockFor(
  dir: string,
  env: Project['env'],
  { gems, source }: { gems: Gemfile; source: string },
): Promise<void> {
  const lines = Object.entries(gems).map(
    ([name, version]) => `gem "${name}"${version === '' ? '' : `, "${version}"`}\n`,
  );
  await writeFiles(dir, { Gemfile: `source "file://${source}"\n\n${lines.join('')}` });
  await run('bundle', ['lock'], { cwd: dir, env });
}

function someGems(random: RandomSource): Gemfile {
  const names = Object.keys(DEPENDENCIES).filter(() => random.below(3) > 0);
  return Object.fromEntries(names.map((name) => [name, random.pick([...VERSIONS, ''])]));
}

function bump(random: RandomSource, gems: Gemfile): Gemfile {
  const after = { ...gems };
  for (const name of Object.keys(DEPENDENCIES)) {
    const move = random.below(6);
    if (move === 0) delete after[name];
    else if (move === 1 || (move === 2 && name in after)) after[name] = random.pick(VERSIONS);
  }
  // Something is always wanted.
  return { ...after, leaf: random.pick(VERSIONS) };
}

const FOR_PEOPLE = /(^|\/)(gem_make\.out|mkmf\.log|Makefile)$|\/cache\/[^/]*\.gem$/;

function describe(dir: string): Record<string, TreeEntry> {
  return withoutTimes(snapshotTree(dir, { skip: (path) => FOR_PEOPLE.test(path) }));
}
