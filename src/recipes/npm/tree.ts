import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';
import { basename, join, posix } from 'node:path';
import { type Package, type Packages, readJson } from './lockfile.ts';

/** Where npm records what it installed. */
export const HIDDEN_LOCKFILE = 'node_modules/.package-lock.json';

/** The slack that npm itself allows, ms (arborist, shrinkwrap.js). */
const JITTER_MS = 10;

/**
 * Whether npm would believe its record: no directory that it names, nor one that holds them, has changed since.
 * Adding, removing or replacing a package changes the directory above it.
 */
export function isUnchangedSince(dir: string, recorded: Packages): boolean {
  const record = statSync(join(dir, HIDDEN_LOCKFILE), { throwIfNoEntry: false });
  if (record === undefined) return false;
  const latest = record.mtimeMs + JITTER_MS;
  const folders = new Set(['node_modules']);
  for (const [location, { link }] of recorded) {
    if (!location.includes('node_modules/')) continue;
    folders.add(posix.dirname(location));
    if (link !== true) folders.add(location);
  }
  for (const folder of folders) {
    const found = statSync(join(dir, folder), { throwIfNoEntry: false });
    if (found === undefined || found.mtimeMs > latest) return false;
  }
  return true;
}

/** What is really in the places that the lockfile names, read from each package's manifest: without npm's record. */
export function readTree(dir: string, locations: Iterable<string>): Packages {
  const found = new Map<string, Package>();
  for (const location of locations) {
    const path = join(dir, location);
    const stat = lstatSync(path, { throwIfNoEntry: false });
    if (stat === undefined) continue;
    if (stat.isSymbolicLink()) {
      found.set(location, { link: true, resolved: posix.join(posix.dirname(location), readlinkSync(path)) });
      continue;
    }
    const manifest = readManifest(path);
    if (manifest !== undefined) found.set(location, manifest);
  }
  return found;
}

/** Where `install-strategy=linked` keeps packages: `.store/<name>@<version>-<hash>/node_modules/<name>`. */
const STORE = 'node_modules/.store';

export function hasStore(dir: string): boolean {
  return statSync(join(dir, STORE), { throwIfNoEntry: false }) !== undefined;
}

/** What the store holds, read from each package's manifest. */
export function readStore(dir: string): Packages {
  const places = withScopes(dir, STORE).flatMap((unit) => withScopes(dir, `${unit}/node_modules`));
  return new Map([...readTree(dir, places)].filter(([, { link }]) => link !== true));
}

function withScopes(dir: string, folder: string): string[] {
  const path = join(dir, folder);
  if (statSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) return [];
  return readdirSync(path)
    .filter((name) => !name.startsWith('.'))
    .flatMap((name) => (name.startsWith('@') ? withScopes(dir, `${folder}/${name}`) : [`${folder}/${name}`]));
}

/** @returns undefined when there is no manifest; empty fields where it lacks them. */
function readManifest(path: string): { name: string; version: string } | undefined {
  try {
    const { name, version } = readJson(join(path, 'package.json')) as { name?: unknown; version?: unknown };
    const text = (value: unknown): string => (typeof value === 'string' ? value : '');
    return { name: text(name), version: text(version) };
  } catch {
    return undefined;
  }
}

/** What is wrong on disk with a package that is said to be installed; undefined when nothing is. */
export function diskFault(dir: string, location: string, { link, resolved }: Package): string | undefined {
  const path = join(dir, location);
  if (link === true) {
    if (resolved === undefined || realPath(path) === realPath(join(dir, resolved), '')) return undefined;
    return `${location} is no link to ${resolved}`;
  }
  if (isFile(join(path, 'package.json'))) return undefined;
  return statSync(path, { throwIfNoEntry: false }) === undefined
    ? `${location} is missing`
    : `${location} has no package.json`;
}

/** The first of a package's commands that has no working link in `.bin`, e.g. `node_modules/.bin/tsc`. */
export function missingBin(dir: string, location: string, { bin }: Package): string | undefined {
  const at = location.lastIndexOf('node_modules/') + 'node_modules'.length;
  const name = location.slice(at + 1);
  const commands = typeof bin === 'string' ? { [name]: bin } : (bin ?? {});
  for (const [command, file] of Object.entries(commands)) {
    const link = `${location.slice(0, at)}/.bin/${basename(command.replaceAll('\\', '/'))}`;
    if (statSync(join(dir, link), { throwIfNoEntry: false }) !== undefined) continue;
    // npm makes no link to a file that is not there, such as one that a workspace has yet to build.
    if (isFile(join(dir, location, file))) return link;
  }
  return undefined;
}

function isFile(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isFile() === true;
}

/** @param missing what a path that leads nowhere stands for */
function realPath(path: string, missing?: string): string | undefined {
  try {
    return realpathSync.native(path);
  } catch {
    return missing;
  }
}
