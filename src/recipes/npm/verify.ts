/**
 * Checks a node_modules tree against its lockfile, without starting npm and with little more than one `stat` a package.
 *
 * npm records what it installed in node_modules/.package-lock.json. Where npm itself would believe that record (nothing
 * has changed since) the two lockfiles are compared; else every package's own manifest is read. Either way each package has
 * to be there, links have to lead where they should, and commands have to be in `.bin`.
 */
import { join } from 'node:path';
import type { Project, Verdict } from '../recipe.ts';
import { type Host, missedOptional } from './optional.ts';
import { type Package, type Packages, readHiddenLockfile, readLockfile } from './lockfile.ts';
import { npmSettings, type Settings } from './settings.ts';
import {
  diskFault,
  hasStore,
  HIDDEN_LOCKFILE,
  isUnchangedSince,
  missingBin,
  readStore,
  readTree,
} from './tree.ts';

interface Fault {
  text: string;
  /** A dev dependency that is not there at all. */
  isMissingDev?: boolean;
}

/** @throws CacheError LOCKFILE_INVALID */
export function verifyTree(project: Project, host: Host): Verdict {
  const settings = npmSettings(project);
  const packages = readLockfile(join(project.dir, project.lockfile));
  const recorded = readHiddenLockfile(join(project.dir, HIDDEN_LOCKFILE));
  const faults = findFaults(project, {
    packages,
    recorded,
    settings,
    host: platformSettings(host, settings),
  });
  const [first] = faults;
  return first === undefined ? { ok: true } : { ok: false, reason: reasonFor(first, faults), blame: 'entry' };
}

interface Evidence {
  packages: Packages;
  recorded: Packages | undefined;
  settings: Settings;
  host: Host;
}

function findFaults({ dir, lockfile }: Project, { packages, recorded, settings, host }: Evidence): Fault[] {
  const linked = hasStore(dir);
  const installed = linked
    ? readStore(dir)
    : recorded !== undefined && isUnchangedSince(dir, recorded)
      ? recorded
      : readTree(dir, [...packages.keys()].filter(isInstalledPlace));
  const lookUp = linked ? byContent(installed) : (location: string) => installed.get(location);
  const shouldBeThere = missedOptional(packages, installed, host);
  const faults: Fault[] = [];

  for (const [location, wanted] of packages) {
    if (!isInstalledPlace(location) || isLeftOut(packages, wanted, settings)) continue;
    const there = lookUp(location, wanted);
    if (there === undefined) {
      const flags = flagsOf(packages, wanted);
      if (mayBeMissing(flags, settings) && !shouldBeThere(location, wanted)) continue;
      faults.push({
        text: `${location} is missing`,
        isMissingDev: (flags.dev ?? flags.devOptional) === true,
      });
      continue;
    }
    const text = mismatch(wanted, there, lockfile);
    if (text !== undefined) faults.push({ text: `${location} ${text}` });
  }

  for (const [location, there] of installed) {
    if (!isInstalledPlace(location)) continue;
    const wanted = packages.get(location);
    const expected = wanted?.link === true ? wanted : there;
    const text = diskFault(dir, location, expected) ?? binFault(dir, location, { packages, there, settings });
    if (text !== undefined) faults.push({ text });
  }
  return faults;
}

function reasonFor(first: Fault, faults: readonly Fault[]): string {
  const others = faults.length - 1;
  const more = others === 0 ? '' : ` (and ${others} more)`;
  const hint = faults.every((fault) => fault.isMissingDev === true)
    ? ': dev dependencies were left out; set npm_config_omit=dev, so that the key says so too'
    : '';
  return `${first.text}${more}${hint}`;
}

/** Whether npm puts a package there: `packages/a` is a workspace's source, `node_modules/.store/a@1.0.0` a mere folder. */
function isInstalledPlace(location: string): boolean {
  return /(^|\/)node_modules\/(@[^/]+\/)?[^/]+$/.test(location);
}

/** As arborist's Node.shouldOmit, and with `legacy-peer-deps` peers are nobody's business. */
function isLeftOut(packages: Packages, wanted: Package, { omit, legacyPeerDeps }: Settings): boolean {
  const { dev, optional, devOptional, peer } = flagsOf(packages, wanted);
  return (
    (dev === true && omit.has('dev')) ||
    (optional === true && omit.has('optional')) ||
    (devOptional === true && omit.has('dev') && omit.has('optional')) ||
    (peer === true && (legacyPeerDeps || omit.has('peer')))
  );
}

function mayBeMissing(flags: Package, { omit }: Settings): boolean {
  return (
    flags.optional === true || (flags.devOptional === true && omit.has('dev')) || flags.extraneous === true
  );
}

/** A link's own entry says nothing but where it leads; the flags are with the target. */
function flagsOf(packages: Packages, wanted: Package): Package {
  if (wanted.link !== true || wanted.resolved === undefined) return wanted;
  return packages.get(wanted.resolved) ?? wanted;
}

/** What differs between the lockfile's entry and what is installed; a field that either lacks does not count. */
function mismatch(wanted: Package, there: Package, lockfile: string): string | undefined {
  if ((wanted.link === true) !== (there.link === true)) {
    return wanted.link === true ? 'is a folder, not a link' : 'is a link, not a folder';
  }
  if (wanted.version !== undefined && there.version && plain(wanted.version) !== plain(there.version)) {
    return `is ${there.version}, ${lockfile} asks for ${wanted.version}`;
  }
  const [commit, other] = [gitCommit(wanted), gitCommit(there)];
  if (commit !== undefined && other !== undefined && commit !== other) {
    return `is at commit ${other}, ${lockfile} asks for ${commit}`;
  }
  if (!integrityAgrees(wanted.integrity, there.integrity)) {
    return `has another integrity than ${lockfile} asks for`;
  }
  return undefined;
}

/** `v1.0.0` and `1.0.0+build` as npm writes them into lockfiles. */
function plain(version: string): string {
  return version
    .trim()
    .replace(/^[v=\s]+/, '')
    .replace(/\+.*$/, '');
}

function gitCommit({ resolved }: Package): string | undefined {
  return resolved?.startsWith('git') === true ? /#(.+)$/.exec(resolved)?.[1] : undefined;
}

/** Subresource Integrity: any hash in common, of those algorithms that both have. */
function integrityAgrees(a: string | undefined, b: string | undefined): boolean {
  if (a === undefined || b === undefined || a === b) return true;
  const theirs = b.split(/\s+/);
  const algorithms = new Set(theirs.map((hash) => hash.split('-', 1)[0]));
  const ours = a.split(/\s+/).filter((hash) => algorithms.has(hash.split('-', 1)[0]));
  return ours.length === 0 || ours.some((hash) => theirs.includes(hash));
}

function binFault(
  dir: string,
  location: string,
  { packages, there, settings }: { packages: Packages; there: Package; settings: Settings },
): string | undefined {
  if (!settings.binLinks) return undefined;
  const wanted = packages.get(location) ?? there;
  const link = missingBin(dir, location, flagsOf(packages, wanted));
  return link === undefined ? undefined : `${link} is missing`;
}

/**
 * Under `install-strategy=linked` packages live in node_modules/.store, under names of npm's own, and npm's record lists
 * what failed to install too. What counts then is that the same package is in the store; its links are left to npm.
 */
function byContent(store: Packages): (location: string, wanted: Package) => Package | undefined {
  const places = new Map([...store].map(([location, there]) => [contentOf(location, there), there]));
  return (location, wanted) => (wanted.link === true ? wanted : places.get(contentOf(location, wanted)));
}

function contentOf(location: string, { name, version }: Package): string {
  return `${name ?? location.replace(/^.*node_modules\//, '')}@${version ?? ''}`;
}

function platformSettings(host: Host, { os, cpu, libc }: Settings): Host {
  const { platform } = host;
  const family = libc === 'musl' || libc === 'glibc' ? libc : platform.libc;
  return { ...host, platform: { os: os ?? platform.os, arch: cpu ?? platform.arch, libc: family } };
}
