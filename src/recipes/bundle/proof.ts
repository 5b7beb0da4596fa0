/**
 * Proves that a bundle is complete without starting Bundler: `bundle check` and `bundle exec` take about 0.2
 * s of a restore. It never calls a bundle broken; only Bundler decides that. It says `whole` only if every
 * version of Bundler since 2.3 would agree, and `unknown` for everything that it does not understand.
 *
 * `doubtful` is only about the tree: settings, Gemfile and lockfile are understood, but the tree does not
 * hold exactly what they ask for.
 */
import { isUtf8 } from 'node:buffer';
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { homeOf } from '../../files/home.ts';
import { namesIn } from '../../files/names-in.ts';
import { readSmallFile } from '../../files/read-small-file.ts';
import type { Project } from '../support/recipe.ts';
import { canonicalRequirement, satisfies } from './gem-version.ts';
import { readGemfile, type Gemfile } from './read-gemfile.ts';
import { readGemspec, type InstalledSpec } from './read-gemspec.ts';
import { nameOf, readLockfile, type LockedGem, type Lockfile } from './read-lockfile.ts';
import { isBundlersRuby, localPlatform, type RubyFacts } from './ruby-facts.ts';
import { hasOnlyKnownSettings } from './known-settings.ts';
import { readBundlerSettings } from './settings.ts';

export type Proof = 'whole' | 'doubtful' | 'unknown';

const MAX_FILE_BYTES = 4 * 1024 * 1024;

/** @param ruby facts of the Ruby on PATH */
export function proveWhole(project: Project, target: string, ruby: RubyFacts): Proof {
  try {
    const closure = wantedGems(project, ruby);
    if (closure === undefined) return 'unknown';
    return holdsGems(closure, { dir: join(project.dir, target), ruby }) ? 'whole' : 'doubtful';
  } catch {
    // A file cannot be read. Bundler will report it.
    return 'unknown';
  }
}

/** Every gem that this lockfile could need here, whichever groups are left out. */
function wantedGems(project: Project, ruby: RubyFacts): LockedGem[] | undefined {
  const settings = readBundlerSettings(project);
  const { gemfile: path, root } = settings;
  if (path === undefined || settings.lockfile !== resolve(project.dir, project.lockfile)) return undefined;
  if (!hasOnlyKnownSettings(project, settings) || !isBundlersRuby(project)) return undefined;
  const plugins = [join(root, '.bundle/plugin'), join(homeOf(project.env), '.bundle/plugin')];
  if ([join(root, 'vendor/cache'), ...plugins].some((folder) => existsSync(folder))) return undefined;
  // Older versions insist on exactly the version of Bundler that the lockfile names.
  if (!/^ruby\d/.test(ruby.abi) || satisfies(ruby.rubygems, ['>= 3.3']) !== true) return undefined;
  const [gemfile, lock] = [readGemfile(readText(path)), readLockfile(readText(settings.lockfile))];
  if (gemfile === undefined || lock === undefined || !agree(gemfile, lock, ruby)) return undefined;
  const platform = localPlatform(ruby);
  if (platform === undefined) return undefined;
  const names = platformNames(platform);
  if (!lock.platforms.some((name) => name === 'ruby' || names.includes(name))) return undefined;
  const roots = [...gemfile.gems].filter(([, gem]) => !gem.isForOthers).map(([name]) => name);
  return closureOf(roots, lock, names);
}

/** Whether `bundle install --frozen` would accept the two. */
function agree(gemfile: Gemfile, lock: Lockfile, ruby: RubyFacts): boolean {
  const withSlash = (url: string): string => url.replace(/\/?$/, '/');
  if (withSlash(gemfile.source) !== withSlash(lock.remote) || !/^\w+:\/\/[^@?#\s]+$/.test(lock.remote))
    return false;
  // Another major version of Bundler may read its lockfiles differently.
  if (lock.bundler !== undefined && !/^2\.\d+\.\d+$/.test(lock.bundler)) return false;
  if ((gemfile.ruby === undefined) !== (lock.ruby === undefined)) return false;
  const wanted = gemfile.ruby ?? [];
  if (![lock.ruby ?? ruby.version, ruby.version].every((version) => satisfies(version, wanted) === true))
    return false;
  const { dependencies } = lock;
  if (gemfile.gems.size !== dependencies.size) return false;
  return [...gemfile.gems].every(([name, { requirement }]) => dependencies.get(name) === requirement);
}

/** What the lockfile may call this platform, most exact first. */
function platformNames(platform: string): string[] {
  if (platform.includes('-darwin-')) return [platform, platform.replace(/-\d+$/, '')];
  return platform.endsWith('-musl')
    ? [platform]
    : [platform, platform.endsWith('-gnu') ? platform.slice(0, -4) : `${platform}-gnu`];
}

/**
 * @returns undefined if it is unclear which variant of a gem Bundler takes, if a gem is missing from the
 *   lockfile or has a version that does not satisfy another gem, or if gems depend on each other in a circle
 */
function closureOf(
  roots: readonly string[],
  lock: Lockfile,
  platforms: readonly string[],
): LockedGem[] | undefined {
  const variants = new Map<string, LockedGem[]>();
  for (const gem of lock.gems) variants.set(gem.name, [...(variants.get(gem.name) ?? []), gem]);
  const done = new Map<string, LockedGem>();
  const above = new Set<string>();
  const visit = (name: string, requirement: string): boolean => {
    // Bundler itself is not in the lockfile. The one that runs is version 2 or later.
    if (name === 'bundler') return /^>= [01](?:\.\d+)*$/.test(requirement) || requirement === '>= 0';
    const gem = done.get(name) ?? variantFor(variants.get(name) ?? [], platforms);
    if (gem === undefined || above.has(name)) return false;
    if (satisfies(gem.version, requirement.split(', ')) !== true) return false;
    if (done.has(name)) return true;
    above.add(name);
    const isWell = [...gem.dependencies].every(([needed, at]) => visit(needed, at));
    above.delete(name);
    done.set(name, gem);
    return isWell;
  };
  const isWhole = roots.every((name) => visit(name, lock.dependencies.get(name) ?? ''));
  return isWhole ? [...done.values()] : undefined;
}

function variantFor(variants: readonly LockedGem[], platforms: readonly string[]): LockedGem | undefined {
  if (new Set(variants.map(({ version }) => version)).size !== 1) return undefined;
  if (variants.some(({ platform }) => platform.startsWith('universal'))) return undefined;
  const ours = variants.filter(({ platform }) => platforms.includes(platform));
  if (ours.length > 0) return ours.length === 1 ? ours[0] : undefined;
  const source = variants.filter(({ platform }) => platform === 'ruby');
  return source.length === 1 ? source[0] : undefined;
}

interface Bundle {
  /** Bundler's path. */
  dir: string;
  ruby: RubyFacts;
}

/** Whether all specifications are written as RubyGems writes them, and include those of the closure. */
function holdsGems(closure: readonly LockedGem[], { dir, ruby }: Bundle): boolean {
  const api = ruby.abi.replace(/^ruby/, '');
  const installation = join(dir, 'ruby', api.replace(/-static$/, ''));
  // Plugins are code of gems that extends RubyGems itself.
  if (namesIn(join(installation, 'plugins')).length > 0) return false;
  const specs = installedSpecs(join(installation, 'specifications'));
  if (specs === undefined) return false;
  const extensions = join(installation, 'extensions', localPlatform(ruby) ?? '', api);
  return closure.every((gem) => {
    const fullName = nameOf(gem);
    const spec = specs.get(fullName);
    if (spec === undefined || !isSame(spec.dependencies, gem.dependencies)) return false;
    const isForUs = satisfies(ruby.version, spec.requiredRuby) === true;
    if (!isForUs || satisfies(ruby.rubygems, spec.requiredRubygems) !== true) return false;
    return !spec.hasExtensions || existsSync(join(extensions, fullName, 'gem.build_complete'));
  });
}

function installedSpecs(folder: string): Map<string, InstalledSpec> | undefined {
  const specs = new Map<string, InstalledSpec>();
  for (const name of namesIn(folder).filter((file) => file.endsWith('.gemspec'))) {
    const spec = readGemspec(readText(join(folder, name)));
    if (spec === undefined || `${nameOf(spec)}.gemspec` !== name) return undefined;
    specs.set(nameOf(spec), spec);
  }
  return specs;
}

function isSame(a: ReadonlyMap<string, string>, b: ReadonlyMap<string, string>): boolean {
  return (
    a.size === b.size &&
    [...a].every(([name, text]) => b.get(name) === canonicalRequirement(text.split(', ')))
  );
}

/** @throws a system error; an Error for what is not UTF-8 */
function readText(path: string): string {
  const { bytes } = readSmallFile(path, { maxBytes: MAX_FILE_BYTES });
  if (!isUtf8(bytes)) throw new Error(`${path} is not UTF-8`);
  return bytes.toString('utf8');
}
