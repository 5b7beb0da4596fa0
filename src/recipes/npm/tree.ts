import { lstatSync, readdirSync, readlinkSync, realpathSync, statSync, type Stats } from 'node:fs';
import { join, posix } from 'node:path';
import { systemCode } from '../../errors.ts';
import { type Package, type Packages, readJson } from './lockfile.ts';

/** Where npm records what it installed. */
export const HIDDEN_LOCKFILE = 'node_modules/.package-lock.json';

/** The tolerance that npm itself allows, ms (arborist, shrinkwrap.js). */
const JITTER_MS = 10;

/**
 * Whether npm would trust its record: neither a directory that it names nor one that contains those has
 * changed since. Adding, removing or replacing a package changes the directory above it.
 */
export function isUnchangedSince(dir: string, recorded: Packages): boolean {
  const record = statOf(join(dir, HIDDEN_LOCKFILE));
  if (record === undefined) return false;
  const latest = record.mtimeMs + JITTER_MS;
  const folders = new Set(['node_modules']);
  for (const [location, { link }] of recorded) {
    if (!location.includes('node_modules/')) continue;
    folders.add(posix.dirname(location));
    if (link !== true) folders.add(location);
  }
  for (const folder of folders) {
    const found = statOf(join(dir, folder));
    if (found === undefined || found.mtimeMs > latest) return false;
  }
  return true;
}

/**
 * Reads what is really installed at the lockfile's locations, from each package's manifest instead of npm's
 * record. If something is there without a manifest, its entry is empty.
 */
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
    found.set(location, readManifest(path) ?? {});
  }
  return found;
}

/** @returns undefined when there is no manifest; empty fields where it lacks them. */
export function readManifest(path: string): { name: string; version: string } | undefined {
  try {
    const { name, version } = readJson(join(path, 'package.json')) as { name?: unknown; version?: unknown };
    const text = (value: unknown): string => (typeof value === 'string' ? value : '');
    return { name: text(name), version: text(version) };
  } catch {
    return undefined;
  }
}

/** `node_modules/a`, `node_modules/@scope/b`: whatever lies there under a name that packages may have. */
export function packagesIn(dir: string, folder: string): string[] {
  if (statOf(join(dir, folder))?.isDirectory() !== true) return [];
  return readdirSync(join(dir, folder)).flatMap((name) => {
    const place = `${folder}/${name}`;
    // No package can have the name that the root of an ext4 file system has in it.
    if (name.startsWith('.') || name === 'lost+found') return [];
    return name.startsWith('@') ? packagesIn(dir, place) : [place];
  });
}

/** Says what is wrong on disk with a package that is recorded as installed; undefined if nothing is. */
export function diskError(dir: string, location: string, { link, resolved }: Package): string | undefined {
  const path = join(dir, location);
  if (link === true) {
    const target = resolved === undefined ? undefined : realPath(join(dir, resolved));
    // The folder is not in this checkout (yet). npm makes the link all the same.
    if (target === undefined || realPath(path) === target) return undefined;
    return `${location} is no link to ${resolved}`;
  }
  if (isFile(join(path, 'package.json'))) return undefined;
  return statOf(path) === undefined ? `${location} is missing` : `${location} has no package.json`;
}

export function isFile(path: string): boolean {
  return statOf(path)?.isFile() === true;
}

/** @returns undefined for a path that leads nowhere @throws a system error when this user may not look */
export function statOf(path: string): Stats | undefined {
  try {
    return statSync(path, { throwIfNoEntry: false });
  } catch (error) {
    // There is a file in place of a folder, or a link to itself.
    if (systemCode(error) === 'ENOTDIR' || systemCode(error) === 'ELOOP') return undefined;
    throw error;
  }
}

/** @returns undefined for a path that leads nowhere */
function realPath(path: string): string | undefined {
  try {
    return realpathSync.native(path);
  } catch {
    return undefined;
  }
}
