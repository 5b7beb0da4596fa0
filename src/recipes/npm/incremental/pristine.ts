/**
 * Whether scripts have left alone the packages that a later install would keep. npm unpacks all packages, then
 * links their commands, then runs scripts (arborist, rebuild.js). So a file that changed after the first of
 * those links was made was changed by a script. There is one exception: npm makes commands executable, those of
 * packages that it unpacks.
 *
 * Scripts named `preinstall` run before the links are made. If a package has one, there is no way to tell.
 */
import { lstatSync, readdirSync } from 'node:fs';
import { join, posix } from 'node:path';
import type { Project, Pruned } from '../../support/recipe.ts';
import { linksOf } from '../bins.ts';
import { readNpmConfig } from '../config.ts';
import { type Packages, readJson, readLockfile } from '../lockfile.ts';
import { isFile, statOf } from '../tree.ts';
import { commandLinks, plainPackages } from './keep.ts';

export function isPristine(project: Project, pruned?: Pruned): boolean {
  const { dir, lockfile } = project;
  if (readNpmConfig(project).flag('ignore-scripts') === true) return true;
  const packages = readLockfile(join(dir, lockfile));
  const plain = plainPackages(dir, packages);
  const others = [...packages.keys()].filter((location) => location !== '' && !plain.has(location));
  if (
    others.every((location) => !mayRunScripts(dir, packages, location)) &&
    !hasScript(dir, '', ROOT_SCRIPTS)
  )
    return true;
  if (others.some((location) => hasScript(dir, location, ['preinstall']))) return false;
  const links = [...commandLinks(packages, plain)];
  const firstLinkMs = firstLink(dir, links, pruned?.endedMs ?? 0);
  return [...plain].every((location) => {
    if (!isFile(manifest(dir, location))) return true;
    const isKept = pruned?.kept.has(location) === true;
    const limitMs = firstLinkMs ?? (isKept ? pruned.endedMs : undefined);
    if (limitMs === undefined) return false;
    const commands = isKept ? [] : commandsOf(packages, location);
    return isUnchangedSince(dir, location, { commands: new Set(commands), limitMs });
  });
}

/** npm runs these of the project itself. */
const ROOT_SCRIPTS = [
  'preinstall',
  'install',
  'postinstall',
  'prepublish',
  'preprepare',
  'prepare',
  'postprepare',
];

/** Links and packages of git are built too. */
function mayRunScripts(dir: string, packages: Packages, location: string): boolean {
  const { hasInstallScript, link, resolved = '' } = packages.get(location)!;
  if (statOf(join(dir, location)) === undefined) return false;
  return (
    hasInstallScript === true ||
    link === true ||
    resolved.startsWith('git') ||
    isFile(join(dir, location, 'binding.gyp'))
  );
}

function hasScript(dir: string, location: string, names: readonly string[]): boolean {
  try {
    const { scripts } = readJson(manifest(dir, location)) as { scripts?: Record<string, unknown> };
    return names.some((name) => scripts?.[name] !== undefined);
  } catch {
    return false;
  }
}

function manifest(dir: string, location: string): string {
  return join(dir, location, 'package.json');
}

/**
 * When this install made the first link to a command of these packages, ms. Other links may be the work of
 * scripts. Undefined where it made none.
 */
function firstLink(dir: string, paths: readonly string[], sinceMs: number): number | undefined {
  const made = paths
    .map((path) => lstatSync(join(dir, path), { throwIfNoEntry: false }))
    .filter((stat) => stat?.isSymbolicLink() === true && stat.ctimeMs > sinceMs)
    .map((stat) => stat!.ctimeMs);
  return made.length === 0 ? undefined : Math.min(...made);
}

/** The files that a package's commands start, relative to the project. */
function commandsOf(packages: Packages, location: string): string[] {
  const files = linksOf(location, packages.get(location)!).values();
  return [...files].map((file) => posix.join(location, file));
}

/**
 * Looks at every file of a package, without the packages inside it.
 * @param commands files that npm has made executable
 */
function isUnchangedSince(
  dir: string,
  location: string,
  { commands, limitMs }: { commands: ReadonlySet<string>; limitMs: number },
): boolean {
  const isUnchanged = (path: string): boolean => {
    const stat = lstatSync(join(dir, path));
    // esbuild's script makes a hard link to the program in another package, which changes no content.
    const isContentAlone = stat.isFile() && (commands.has(path) || stat.nlink > 1);
    if ((isContentAlone ? stat.mtimeMs : stat.ctimeMs) > limitMs) return false;
    if (!stat.isDirectory()) return true;
    return readdirSync(join(dir, path)).every(
      (name) => (path === location && name === 'node_modules') || isUnchanged(`${path}/${name}`),
    );
  };
  return isUnchanged(location);
}
