/**
 * A tree as npm lays it out by default: every package is where the lockfile says. If npm would trust its own
 * record of what it installed, the lockfile is compared with that. Otherwise every package's manifest is
 * read.
 */
import { isLinkOf, missingLinks } from './bins.ts';
import { mismatch } from './compare.ts';
import { isInstalledPlace, type Package, type Packages, projectFolder } from './lockfile.ts';
import { excusable } from './optional.ts';
import { flagsOf } from './scope.ts';
import { diskError, isUnchangedSince, readTree } from './tree.ts';
import { type Evidence, type Mismatch, isCopied } from './evidence.ts';

export function hoistedMismatches(evidence: Evidence): Mismatch[] {
  const { dir, packages, recorded, readsManifests } = evidence;
  const places = [...packages.keys()].filter(isInstalledPlace);
  if (recorded === undefined || !isUnchangedSince(dir, recorded))
    return mismatchesWith(evidence, readTree(dir, places));
  const mismatches = mismatchesWith(evidence, recorded);
  if (mismatches.length > 0 || !readsManifests) return mismatches;
  return mismatchesOfLockfile(evidence, readTree(dir, places));
}

function mismatchesWith(evidence: Evidence, installed: Packages): Mismatch[] {
  return [...mismatchesOfLockfile(evidence, installed), ...mismatchesOnDisk(evidence, installed)];
}

/** What the lockfile asks for and is not installed, or differs. */
function mismatchesOfLockfile(evidence: Evidence, installed: Packages): Mismatch[] {
  const { packages, scope, settings, lockfile } = evidence;
  const mismatches: Mismatch[] = [];
  const optional = new Set<string>();
  for (const [location, wanted] of packages) {
    if (!isInstalledPlace(location) || !scope.includes(location)) continue;
    const there = installed.get(location);
    if (there === undefined) {
      const flags = flagsOf(packages, wanted);
      if (flags.optional === true || (flags.devOptional === true && settings.omit.has('dev')))
        optional.add(location);
      else if (flags.extraneous !== true && !(flags.dev === true && isBelowCopied(evidence, location)))
        mismatches.push(missingPackage(location, flags, scope.isOrphan(location)));
      continue;
    }
    const text = isCopied(evidence, location) ? undefined : mismatch(wanted, there, lockfile);
    if (text !== undefined) mismatches.push({ text: `${location} ${text}` });
  }
  if (optional.size === 0) return mismatches;
  const excused = excusable(evidence, optional);
  for (const location of optional) {
    if (excused.has(location)) continue;
    mismatches.push(
      missingPackage(location, flagsOf(packages, packages.get(location)!), scope.isOrphan(location)),
    );
  }
  return mismatches;
}

/** The copy of a linked folder has none of the folder's development dependencies. */
function isBelowCopied(evidence: Evidence, location: string): boolean {
  const folder = projectFolder(location);
  if (folder === '' || !evidence.settings.installLinks) return false;
  return [...evidence.packages].some(
    ([link, { resolved }]) => resolved === folder && isCopied(evidence, link),
  );
}

function missingPackage(location: string, { dev, devOptional }: Package, isOrphan: boolean): Mismatch {
  return { text: `${location} is missing`, isMissingDev: (dev ?? devOptional) === true, isOrphan };
}

/** Packages that are recorded as installed, but do not work. */
function mismatchesOnDisk(evidence: Evidence, installed: Packages): Mismatch[] {
  const { dir, packages, scope } = evidence;
  const mismatches: Mismatch[] = [];
  for (const [location, there] of installed) {
    const wanted = packages.get(location);
    if (wanted === undefined || !isInstalledPlace(location) || !scope.includes(location)) continue;
    const text =
      diskError(dir, location, there.link === true ? wanted : there) ??
      commandFault(evidence, installed, location);
    if (text !== undefined) mismatches.push({ text });
  }
  return mismatches;
}

function commandFault(evidence: Evidence, installed: Packages, location: string): string | undefined {
  const { dir, packages, settings } = evidence;
  if (!settings.binLinks) return undefined;
  const wanted = packages.get(location)!;
  // A version 1 lockfile does not list commands, but npm's record does.
  const missing = missingLinks(dir, location, wanted.bin === undefined ? installed.get(location)! : wanted);
  // When npm leaves a package out, it removes the links of its commands, even if another package has a
  // command of that name.
  const isLeftOut = (other: string): boolean =>
    isInstalledPlace(other) &&
    !installed.has(other) &&
    (settings.omit.size > 0 || packages.get(other)?.optional === true);
  const path = missing.find((link) => !isLinkOf(packages, link, isLeftOut));
  return path === undefined ? undefined : `${path} is missing`;
}
