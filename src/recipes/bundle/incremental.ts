/**
 * `bundle install` on top of an older bundle. Bundler takes a gem for installed if its specification is there.
 * So whatever an install from nothing might make differently is removed first.
 */
import { isUtf8 } from 'node:buffer';
import { existsSync, lstatSync, readdirSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { namesIn } from '../../files/names-in.ts';
import { readSmallFile } from '../../files/read-small-file.ts';
import type { Incremental, Project } from '../support/recipe.ts';
import { installations, specified } from './installation.ts';
import { hasOnlyKnownSettings } from './known-settings.ts';
import { type InstalledSpec, readGemspec } from './read-gemspec.ts';
import { type Lockfile, nameOf, readLockfile } from './read-lockfile.ts';
import { rubyFacts } from './ruby-facts.ts';
import { readBundlerSettings } from './settings.ts';

/** @param install the recipe's own command: it adds what is missing, and leaves the rest alone */
export function bundleIncremental(target: string, install: Incremental['install']): Incremental {
  return {
    startsFromNothing: false,

    packages(project) {
      const settings = readBundlerSettings(project);
      if (settings.lockfile !== resolve(project.dir, project.lockfile)) return undefined;
      if (!hasOnlyKnownSettings(project, settings)) return undefined;
      const lock = lockOf(project);
      return lock?.gems.map((gem) => `${nameOf(gem)} ${lock.remote}`);
    },

    async prune(project, signal, stays = new Set()) {
      const ruby = await rubyFacts(project, signal);
      const path = `${target}/${ruby.abi.replace(/^([a-z]+)/, '$1/').replace(/-static$/, '')}`;
      const bundle = join(project.dir, path);
      const way = path.slice(target.length + 1).split('/');
      const staying = namesIn(join(project.dir, target)).filter((name) => stays.has(`${target}/${name}`));
      removeOthers(join(project.dir, target), way, staying);
      // What is mounted on the way was there before the older bundle.
      if (staying.includes(way[0] ?? '')) return { kept: new Set(), endedMs: 0 };
      const kept = keptGems(bundle, lockOf(project), ruby.rubygems);
      removeFrom(bundle, kept);
      return { kept: new Set(kept.keys()), endedMs: 0 };
    },

    install,

    count({ dir }) {
      return installations(dir, target).flatMap((path) => specified(join(dir, path))).length;
    },

    stray: (project) => strayIn(project, target),

    isPristine: (project) => strayIn(project, target) === undefined,
  };
}

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** @returns undefined for a lockfile with anything but gems of one server, and for one that is not there */
function lockOf(project: Project): Lockfile | undefined {
  const text = readText(join(project.dir, project.lockfile));
  return text === undefined ? undefined : readLockfile(text);
}

function readText(path: string): string | undefined {
  try {
    const { bytes } = readSmallFile(path, { maxBytes: MAX_FILE_BYTES });
    return isUtf8(bytes) ? bytes.toString('utf8') : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The gems that an install from nothing would unpack alike, by their full names: those of the lockfile that
 * this RubyGems has installed. A compiled one stays only if all gems that it could have been built against
 * stay, because its build may have looked at them.
 */
function keptGems(bundle: string, lock: Lockfile | undefined, rubygems: string): Map<string, InstalledSpec> {
  const wanted = new Set(lock?.gems.map(nameOf));
  const specs = specified(bundle).flatMap((name) => {
    const spec = specOf(bundle, name);
    return spec === undefined ? [] : [spec];
  });
  const claims = new Map<string, number>();
  for (const { executables } of specs)
    for (const name of executables) claims.set(name, (claims.get(name) ?? 0) + 1);
  const isWhole = (spec: InstalledSpec): boolean =>
    wanted.has(nameOf(spec)) &&
    spec.installedBy === rubygems &&
    isDirectory(join(bundle, 'gems', nameOf(spec))) &&
    !existsSync(join(bundle, 'plugins', `${spec.name}_plugin.rb`)) &&
    spec.executables.every((name) => claims.get(name) === 1 && startsGem(bundle, name, spec));
  const kept = new Map(specs.filter(isWhole).map((spec) => [nameOf(spec), spec]));
  for (let before = -1; before !== kept.size;) {
    before = kept.size;
    const byName = new Map([...kept.values()].map((spec) => [spec.name, spec]));
    for (const [fullName, spec] of kept)
      if (spec.hasExtensions && leadsTo(spec, byName).some((name) => !byName.has(name)))
        kept.delete(fullName);
  }
  return kept;
}

function specOf(bundle: string, gem: string): InstalledSpec | undefined {
  return readGemspec(readText(join(bundle, 'specifications', `${gem}.gemspec`)) ?? '');
}

/** The names of all gems that one depends on, directly or not, as far as specifications of kept ones tell. */
function leadsTo(spec: InstalledSpec, kept: ReadonlyMap<string, InstalledSpec>): string[] {
  const found = new Set(spec.dependencies.keys());
  for (const name of found) for (const next of kept.get(name)?.dependencies.keys() ?? []) found.add(next);
  // It is no part of a bundle.
  found.delete('bundler');
  return [...found];
}

/** Whether the program in `bin`, as RubyGems writes it, starts that of this gem. */
function startsGem(bundle: string, name: string, { name: gem }: InstalledSpec): boolean {
  return readText(join(bundle, 'bin', name))?.includes(`Gem.activate_bin_path('${gem}', '${name}',`) === true;
}

/** What RubyGems makes for every installation, whether something is in it or not. */
const FOLDERS = ['build_info', 'cache', 'doc', 'extensions', 'gems', 'plugins', 'specifications'];

/** Leaves of the target only the way to one installation, and what stays. */
function removeOthers(
  dir: string,
  [first, ...rest]: readonly string[],
  staying: readonly string[] = [],
): void {
  if (first === undefined || !isDirectory(dir)) return;
  for (const name of readdirSync(dir))
    if (name !== first && !staying.includes(name) && !name.startsWith('.sandbox-cache-'))
      remove(join(dir, name));
  if (!staying.includes(first)) removeOthers(join(dir, first), rest);
}

function removeFrom(bundle: string, kept: ReadonlyMap<string, InstalledSpec>): void {
  if (!isDirectory(bundle)) return remove(bundle);
  const programs = new Set([...kept.values()].flatMap(({ executables }) => executables));
  const keep: Record<string, (name: string) => boolean> = {
    bin: (name) => programs.has(name),
    build_info: (name) => kept.has(name.replace(/\.info$/, '')),
    gems: (name) => kept.has(name),
    specifications: (name) => kept.has(name.replace(/\.gemspec$/, '')),
  };
  for (const folder of readdirSync(bundle)) {
    const path = join(bundle, folder);
    if (!isDirectory(path) || !(FOLDERS.includes(folder) || folder === 'bin')) remove(path);
    else if (folder === 'extensions') removeExtensions(path, kept);
    else for (const name of readdirSync(path)) if (keep[folder]?.(name) !== true) remove(join(path, name));
  }
  if (namesIn(join(bundle, 'bin')).length === 0) remove(join(bundle, 'bin'));
}

/** `extensions/<platform>/<abi>/<gem>` */
function removeExtensions(extensions: string, kept: ReadonlyMap<string, InstalledSpec>): void {
  for (const platform of readdirSync(extensions)) {
    const folder = join(extensions, platform);
    for (const abi of isDirectory(folder) ? readdirSync(folder) : []) {
      const gems = join(folder, abi);
      for (const name of isDirectory(gems) ? readdirSync(gems) : [])
        if (kept.get(name)?.hasExtensions !== true) remove(join(gems, name));
      if (!isDirectory(gems) || readdirSync(gems).length === 0) remove(gems);
    }
    if (!isDirectory(folder) || readdirSync(folder).length === 0) remove(folder);
  }
}

/** A gem that the lockfile does not name, or a program that two gems claim: the later install has won. */
function strayIn(project: Project, target: string): string | undefined {
  const wanted = new Set(lockOf(project)?.gems.map(nameOf));
  for (const path of installations(project.dir, target)) {
    const bundle = join(project.dir, path);
    const specs = specified(bundle);
    const gems = [...specs, ...namesIn(join(bundle, 'gems'))];
    const stray = gems.find((name) => !wanted.has(name));
    if (stray !== undefined) return `${path}/gems/${stray}`;
    const programs = specs.flatMap((name) => specOf(bundle, name)?.executables ?? []);
    const contested = programs.find((name, n) => programs.indexOf(name) !== n);
    if (contested !== undefined) return `${path}/bin/${contested}, which several gems bring`;
  }
  return undefined;
}

function isDirectory(path: string): boolean {
  return lstatSync(path, { throwIfNoEntry: false })?.isDirectory() === true;
}

function remove(path: string): void {
  rmSync(path, { recursive: true, force: true });
}
