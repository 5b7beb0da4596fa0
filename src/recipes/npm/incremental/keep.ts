/**
 * Which packages of an older tree may stay: those that an install from nothing would unpack from the same
 * tarball, and that nothing changes afterwards.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import { linksOf } from '../bins.ts';
import { isInstalledPlace, nameAt, type Package, type Packages } from '../lockfile.ts';
import { flagsOf } from '../scope.ts';
import type { Settings } from '../settings.ts';
import { isFile, packagesIn } from '../tree.ts';

/**
 * The packages whose directories hold what their tarballs hold, as far as the lockfile and the project tell:
 * they come from a registry, run no script, are not patched, and hold no bundled packages.
 */
export function plainPackages(dir: string, packages: Packages): Set<string> {
  const patched = patchedNames(dir);
  const plain = new Set<string>();
  // A package comes before those inside it.
  for (const [location, entry] of packages) {
    if (!location.startsWith('node_modules/') || !isInstalledPlace(location)) continue;
    const holder = holderOf(location);
    if (holder !== undefined && !plain.has(holder)) continue;
    if (!isFromRegistry(entry) || entry.hasInstallScript === true || entry.extraneous === true) continue;
    if (hasBundled(entry) || patched.has(entry.name ?? '') || patched.has(nameAt(location))) continue;
    // npm compiles these without being told by a script.
    if (isFile(join(dir, location, 'binding.gyp'))) continue;
    plain.add(location);
  }
  return plain;
}

/** The plain packages that are recorded as the very ones that the lockfile asks for. */
export function keptPackages(dir: string, wanted: Packages, recorded: Packages): Set<string> {
  const plain = plainPackages(dir, wanted);
  const before = plainPackages(dir, recorded);
  const claims = claimsOf(wanted);
  const kept = new Set<string>();
  for (const location of plain) {
    const holder = holderOf(location);
    if (holder !== undefined && !kept.has(holder)) continue;
    const there = before.has(location) ? recorded.get(location) : undefined;
    if (there === undefined || !isSame(wanted.get(location)!, there)) continue;
    if (!isFile(join(dir, location, 'package.json')) || holdsUnrecorded(dir, location, recorded)) continue;
    const links = [...linksOf(location, wanted.get(location)!)];
    // npm links commands of packages that it unpacks. Of several claimants the last wins.
    if (
      links.every(([path, file]) => claims.get(path)?.length === 1 && leadsTo(dir, path, { location, file }))
    )
      kept.add(location);
  }
  return kept;
}

/** The links to the commands of some packages. */
export function commandLinks(packages: Packages, some: ReadonlySet<string>): Set<string> {
  return new Set([...some].flatMap((location) => [...linksOf(location, packages.get(location)!).keys()]));
}

/** The package that another one lies in: `node_modules/a/node_modules/b` → `node_modules/a`. */
function holderOf(location: string): string | undefined {
  const at = location.lastIndexOf('/node_modules/');
  return at === -1 ? undefined : location.slice(0, at);
}

function isFromRegistry({ link, version, integrity, resolved }: Package): boolean {
  if (link === true || version === undefined) return false;
  // `omit-lockfile-registry-resolved` leaves addresses of registries out.
  return integrity?.startsWith('sha512-') === true && /^https?:/.test(resolved ?? 'https:');
}

function hasBundled({ inBundle, bundleDependencies }: Package): boolean {
  return inBundle === true || (bundleDependencies !== undefined && bundleDependencies !== false);
}

function isSame(wanted: Package, there: Package): boolean {
  const { name, version, integrity } = wanted;
  return there.name === name && there.version === version && there.integrity === integrity;
}

/** Packages that a tarball has brought along without saying so. */
function holdsUnrecorded(dir: string, location: string, recorded: Packages): boolean {
  return packagesIn(dir, `${location}/node_modules`).some((place) => !recorded.has(place));
}

/**
 * Whether a package that npm may leave out has a command of another one's name. `npm ci` then leaves out the
 * link for both.
 */
export function hasContestedCommand(packages: Packages, { omit }: Pick<Settings, 'omit'>): boolean {
  return [...claimsOf(packages).values()].some(
    (claimants) =>
      claimants.length > 1 && (omit.size > 0 || claimants.some(({ optional }) => optional === true)),
  );
}

/** The packages that have a command with this link. */
function claimsOf(packages: Packages): Map<string, Package[]> {
  const claims = new Map<string, Package[]>();
  for (const [location, entry] of packages) {
    if (!isInstalledPlace(location)) continue;
    const { bin } = flagsOf(packages, entry);
    if (bin === undefined) continue;
    for (const path of linksOf(location, { bin }).keys())
      claims.set(path, [...(claims.get(path) ?? []), entry]);
  }
  return claims;
}

function leadsTo(dir: string, path: string, { location, file }: { location: string; file: string }): boolean {
  try {
    return readlinkSync(join(dir, path)) === posix.join('..', nameAt(location), file);
  } catch {
    return false;
  }
}

/**
 * The packages that files in `patches/` are for, by patch-package's names: `@scope+a+1.0.0.patch`,
 * `outer++inner+1.0.0.dev.patch`.
 */
function patchedNames(dir: string): Set<string> {
  let files: string[];
  try {
    files = readdirSync(join(dir, 'patches'));
  } catch {
    return new Set();
  }
  const names = files
    .filter((file) => file.endsWith('.patch'))
    .flatMap((file) => file.split('++'))
    .map((part) => part.split('+'))
    .map(([first = '', second = '']) => (first.startsWith('@') ? `${first}/${second}` : first));
  return new Set(names);
}
