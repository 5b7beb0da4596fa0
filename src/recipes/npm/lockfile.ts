import { posix } from 'node:path';
import { CacheError, reasonOf, systemCode } from '../../errors.ts';
import { unreadable } from '../support/lockfile.ts';
import { readSmallText } from '../../files/read-small-file.ts';

/**
 * One entry of a lockfile's `packages`, keyed by location: `node_modules/ms`,
 * `packages/a/node_modules/@scope/b`, `packages/a`. Format:
 * https://docs.npmjs.com/cli/v11/configuring-npm/package-lock-json
 */
export interface Package {
  /** The name, if it differs from the location's, as for an alias. */
  name?: string;
  version?: string;
  resolved?: string;
  integrity?: string;
  /** A symlink to `resolved`, relative to the project. */
  link?: boolean;
  dev?: boolean;
  optional?: boolean;
  devOptional?: boolean;
  peer?: boolean;
  extraneous?: boolean;
  inBundle?: boolean;
  hasInstallScript?: boolean;
  bin?: string | Record<string, string>;
  os?: string[] | string;
  cpu?: string[] | string;
  libc?: string[] | string;
  engines?: Record<string, string> | string[];
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
  peerDependencies?: Record<string, string>;
  peerDependenciesMeta?: Record<string, { optional?: boolean }>;
  /** Only the project, its workspaces and the targets of links have it. */
  devDependencies?: Record<string, string>;
  bundleDependencies?: string[] | boolean;
}

export type Packages = ReadonlyMap<string, Package>;

interface Lockfile {
  packages?: Record<string, Package>;
  dependencies?: Record<string, OldPackage>;
}

/** An entry of a version 1 lockfile (npm ≤ 6): nested as the folders are, `version` may be a URL. */
interface OldPackage extends Pick<Package, 'resolved' | 'integrity' | 'dev' | 'optional' | 'extraneous'> {
  version?: string;
  bundled?: boolean;
  dependencies?: Record<string, OldPackage>;
}

/**
 * Reads package-lock.json or npm-shrinkwrap.json, version 1, 2 or 3.
 * @throws CacheError LOCKFILE_INVALID; SOURCE_UNREADABLE
 */
export function readLockfile(path: string): Packages {
  let lockfile: Lockfile;
  try {
    lockfile = readJson(path) as Lockfile;
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw unreadable(path, error);
    const why = reasonOf(error);
    throw new CacheError('LOCKFILE_INVALID', `${path} cannot be read as an npm lockfile (${why})`, {
      hint: 'Merge conflicts left in it? `npm install --package-lock-only` repairs it.',
      cause: error,
    });
  }
  return packagesOf(lockfile);
}

/**
 * npm's own record of what it installed.
 * @returns undefined if it is missing or is not JSON; npm ignores it then
 * @throws a system error for anything but a file of a sane size: npm would never finish reading it
 */
export function readHiddenLockfile(path: string): Packages | undefined {
  try {
    const lockfile = readJson(path) as Lockfile;
    return lockfile.packages === undefined ? undefined : packagesOf(lockfile);
  } catch (error) {
    if (error instanceof SyntaxError || systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

/** The largest lockfiles of public projects have some 10 MB. */
const MAX_BYTES = 128 * 1024 * 1024;

/** @throws SyntaxError or a system error */
export function readJson(path: string): object {
  // Some published manifests begin with a byte order mark.
  const value: unknown = JSON.parse(readSmallText(path, { maxBytes: MAX_BYTES }).replace(/^\ufeff/, ''));
  if (typeof value !== 'object' || value === null) throw new SyntaxError('not a JSON object');
  return value;
}

/**
 * Whether npm puts a package there: `packages/a` is a workspace's source, and `node_modules/.store/a@1.0.0`
 * is only a folder.
 */
export function isInstalledPlace(location: string): boolean {
  return /(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/.test(location);
}

/** `packages/a/node_modules/@scope/b` → `@scope/b` */
export function nameAt(location: string): string {
  return location.replace(/^.*node_modules\//, '');
}

/**
 * The `node_modules` directories that these packages can have: the root's first, then the others in order.
 */
export function moduleFolders(packages: Packages): string[] {
  const folders = new Set<string>();
  for (const location of packages.keys()) {
    const owner = projectFolder(location);
    if (owner !== '' && isInside(owner)) folders.add(`${owner}/node_modules`);
  }
  folders.delete('node_modules');
  return ['node_modules', ...[...folders].sort()];
}

/** `packages/a/node_modules/b` → `packages/a`; `packages/a` → itself; `node_modules/b` → empty. */
export function projectFolder(location: string): string {
  const at = `/${location}/`.indexOf('/node_modules/');
  return at === -1 ? location : location.slice(0, Math.max(at - 1, 0));
}

/** A `file:` dependency may lie outside the project: its directories are not ours. */
function isInside(location: string): boolean {
  return (
    !posix.isAbsolute(location) &&
    location.split('/').every((part) => part !== '..' && part !== '.' && part !== '')
  );
}

function packagesOf({ packages, dependencies }: Lockfile): Packages {
  if (packages !== undefined) return new Map(Object.entries(packages));
  const found = new Map<string, Package>();
  addOld(found, '', dependencies ?? {});
  return found;
}

/** Adds version 1 entries in the form of version 3, with what they say. */
function addOld(found: Map<string, Package>, parent: string, dependencies: Record<string, OldPackage>): void {
  for (const [name, old] of Object.entries(dependencies)) {
    const location = posix.join(parent, 'node_modules', name);
    const { version = '', integrity, dev, optional, extraneous, bundled } = old;
    const flags = {
      ...(dev && { dev }),
      ...(optional && { optional }),
      ...(extraneous && { extraneous }),
      ...(bundled && { inBundle: true }),
    };
    const folder = /^file:(.*)$/.exec(version)?.[1];
    if (folder !== undefined && integrity === undefined && !/\.(tgz|tar|tar\.gz)$/i.test(folder)) {
      found.set(location, { ...flags, link: true, resolved: posix.normalize(folder) });
      addOld(found, posix.normalize(folder), old.dependencies ?? {});
      continue;
    }
    // `npm:ms@2.1.3` for an alias, a URL for everything that did not come from a registry.
    const plain = version.replace(/^npm:.*@/, '');
    const resolved = old.resolved ?? (plain.includes(':') ? plain : undefined);
    found.set(location, {
      ...flags,
      ...(/^\d/.test(plain) && { version: plain }),
      ...(resolved !== undefined && { resolved }),
      ...(integrity !== undefined && { integrity }),
    });
    addOld(found, location, old.dependencies ?? {});
  }
}
