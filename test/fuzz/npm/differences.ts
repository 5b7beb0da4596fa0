/** Where our verdict on a tree differs from npm's own, which is its plan for that tree. */
import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Packages, readLockfile } from '../../../src/recipes/npm/lockfile.ts';
import type { Verdict } from '../../../src/recipes/support/recipe.ts';
import type { Plan } from './oracle.ts';

interface Case {
  /** Of the damage. */
  kind: string;
  /** The damage in words. */
  what: string;
  dir: string;
  /** npm's plan for the tree as installed. */
  baseline: Plan;
  /** And as damaged. */
  plan: Plan;
}

/** @returns how we differ from npm, unless an exception allows it */
export function differenceOf(found: Case, verdict: Verdict): string | undefined {
  const { kind, dir, baseline, plan } = found;
  const add = [...plan.add].filter((location) => !baseline.add.has(location));
  const change = [...plan.change].filter((location) => !baseline.change.has(location));
  const lockfile = readLockfile(join(dir, 'package-lock.json'));
  if (verdict.ok) {
    // Version 1 does not tell who depends on whom.
    if (!lockfile.has('')) return undefined;
    const isNeeded = neededHere(dir, lockfile);
    const serious = [
      ...add.filter((location) => !mayBeMissing(lockfile, location)).map((location) => `add ${location}`),
      ...change
        .filter((location) => !mayDiffer(found, lockfile, location))
        .map((location) => `change ${location}`),
    ].filter((text) => isNeeded(text.slice(text.indexOf(' ') + 1)));
    return serious.length === 0 ? undefined : `we pass, npm would ${serious.join(', ')}`;
  }
  // What npm would change or add anyway hides what it thinks of the damage.
  if (baseline.change.size > 0 && !HARMLESS.has(kind)) return undefined;
  if ([...baseline.add].some((location) => verdict.reason.startsWith(`${location} `))) return undefined;
  if (
    add.length + change.length > 0 ||
    STRICTER.has(kind) ||
    (STRICTER_IF_LINKED.has(kind) && existsSync(join(dir, 'node_modules/.store'))) ||
    BUNDLED.test(verdict.reason)
  )
    return undefined;
  return `npm would leave it, we say: ${verdict.reason}`;
}

/** npm passes over these, though the tree is of no use then. */
const STRICTER = new Set(['danglingLink', 'linkInItsPlace']);

/** In a linked tree npm looks whether each folder of the store is there, not at what is in it. */
const STRICTER_IF_LINKED = new Set(['otherVersion', 'removeManifest', 'emptyPackage', 'fileInItsPlace']);

/** npm does not look into what a package brings along. */
const BUNDLED = /bundler\/node_modules\/(?:\.bin\/)?inner /;

const HARMLESS = new Set(['removeRecord', 'outdateRecord', 'addPackage']);

/** Optional packages that npm may well have left out itself: nobody can tell. */
function mayBeMissing(lockfile: Packages, location: string): boolean {
  const isOptionalPeer = (place: string): boolean => {
    const entry = lockfile.get(place);
    return entry?.optional === true && entry.peer === true;
  };
  // In the store of a linked tree places have names of npm's own.
  if (location.includes('.store/')) {
    const end = `/node_modules/${namesIn(location).at(-1)}`;
    const places = [...lockfile.keys()].filter((place) => `/${place}`.endsWith(end));
    return MAY_FAIL.test(location) || places.some(isOptionalPeer);
  }
  return isOptionalPeer(location) || (lockfile.get(location)?.optional === true && MAY_FAIL.test(location));
}

const MAY_FAIL =
  /(?:^|\/)(?:fails|scripted|late-bin|odd-node|newer-npm|needs-there|sharp-linux.*|native-linux-.*)$/;

/** What npm would change, though nothing is wrong with it or nobody can tell. */
function mayDiffer({ kind, what, dir }: Case, lockfile: Packages, location: string): boolean {
  const { link, resolved = '', hasInstallScript, optional } = lockfile.get(location) ?? {};
  // Several packages have commands of these names.
  if (/\.bin\/(?:same|other)$/.test(what)) return true;
  if (location.includes('.store/') && MAY_FAIL.test(location)) return true;
  // npm itself may not have linked these: the file came later.
  if (kind.endsWith('Command') && (link === true || hasInstallScript === true)) return true;
  if (kind === 'fileInItsPlace' && optional === true && MAY_FAIL.test(location)) return true;
  // The copy of a linked folder does not tell where it is from. Without its record npm copies it again, though it is the same.
  if (link === true && isCopyOf(join(dir, location), join(dir, resolved))) return true;
  return link === true && !existsSync(join(dir, resolved, 'package.json'));
}

function isCopyOf(copy: string, folder: string): boolean {
  const [manifest, original] = [join(copy, 'package.json'), join(folder, 'package.json')];
  if (lstatSync(copy, { throwIfNoEntry: false })?.isDirectory() !== true) return false;
  return (
    existsSync(manifest) && existsSync(original) && readFileSync(manifest).equals(readFileSync(original))
  );
}

/**
 * What more than the workspaces outside this checkout may need: npm installs those too, where it has made their folders itself. Judged
 * by names alone, so rather too much.
 */
function neededHere(dir: string, lockfile: Packages): (location: string) => boolean {
  const absent = [...lockfile].filter(
    ([, { link, resolved = '' }]) => link === true && !existsSync(join(dir, resolved, 'package.json')),
  );
  if (absent.length === 0) return () => true;
  const folders = new Set(absent.map(([, { resolved = '' }]) => resolved));
  const isHere = (location: string): boolean =>
    !/(?:^|\/)node_modules\//.test(location) && !folders.has(location);
  const queue = [...lockfile.keys()].filter(isHere);
  const needed = new Set<string>();
  for (const location of queue) {
    const { dependencies, optionalDependencies, devDependencies, peerDependencies } = lockfile.get(location)!;
    for (const name of Object.keys({
      ...dependencies,
      ...optionalDependencies,
      ...devDependencies,
      ...peerDependencies,
    })) {
      if (needed.has(name)) continue;
      needed.add(name);
      queue.push(...[...lockfile.keys()].filter((other) => `/${other}`.endsWith(`/node_modules/${name}`)));
    }
  }
  return (location) =>
    ![...folders].some((folder) => `${location}/`.startsWith(`${folder}/`)) &&
    namesIn(location).every((name) => needed.has(name));
}

/** `node_modules/.store/@scope+a@1.0.0-<hash>/node_modules/b` → `@scope/a` and `b`. */
function namesIn(location: string): string[] {
  const [, ...names] = `/${location}`.split('/node_modules/');
  return names.map((name) => name.replace(/^\.store\/(.+)@.*$/, '$1').replace('+', '/'));
}
