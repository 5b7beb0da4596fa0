import { lstatSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemCode } from '../../../errors.ts';
import type { Project, Pruned } from '../../support/recipe.ts';
import { moduleFolders, type Package, readHiddenLockfile, readJson, readLockfile } from '../lockfile.ts';
import { HIDDEN_LOCKFILE } from '../tree.ts';
import { commandLinks, keptPackages } from './keep.ts';

/**
 * Leaves of a tree the packages that may be kept, with the links to their commands, and npm's record of those
 * packages. Everything else goes: other packages with all that lies in them, and what belongs to no package.
 * @param stays see `Incremental.prune`
 */
export function prune(
  { dir, lockfile }: Pick<Project, 'dir' | 'lockfile'>,
  stays: ReadonlySet<string> = new Set(),
): Pruned {
  const wanted = readLockfile(join(dir, lockfile));
  const recorded = readHiddenLockfile(join(dir, HIDDEN_LOCKFILE)) ?? new Map<string, Package>();
  const recordedHere = new Map([...recorded].filter(([location]) => !liesIn(location, stays)));
  const kept = keptPackages(dir, wanted, recordedHere);
  const pruner = createPruner(dir, { kept, links: commandLinks(wanted, kept), stays });
  const record = kept.size === 0 ? undefined : trimmedRecord(dir, kept);
  for (const folder of moduleFolders(wanted)) {
    pruner.prune(folder);
    pruner.removeIfEmpty(folder);
  }
  // Last of all: npm does not believe a record that is older than what it is about.
  if (record !== undefined) writeFileSync(join(dir, HIDDEN_LOCKFILE), record, { flag: 'wx' });
  return {
    kept,
    endedMs: record === undefined ? 0 : statSync(join(dir, HIDDEN_LOCKFILE)).ctimeMs,
  };
}

/** What lies in a folder of packages and is ours: an installer does not touch it either. */
const OURS = /^\.sandbox-cache-/;

function liesIn(location: string, places: ReadonlySet<string>): boolean {
  return [...places].some((place) => location === place || location.startsWith(`${place}/`));
}

function createPruner(
  dir: string,
  { kept, links, stays }: Record<'kept' | 'links' | 'stays', ReadonlySet<string>>,
): { prune(folder: string): void; removeIfEmpty(folder: string): void } {
  const remove = (path: string): void => rmSync(join(dir, path), { recursive: true, force: true });

  /** @returns whether it is a directory, and not a link to one */
  function isDirectory(path: string): boolean {
    return lstatSync(join(dir, path), { throwIfNoEntry: false })?.isDirectory() === true;
  }

  function prune(folder: string): void {
    // It may be a link into another folder of packages.
    if (stays.has(folder)) return;
    for (const name of namesOf(folder)) {
      if (stays.has(`${folder}/${name}`)) continue;
      if (name.startsWith('@')) pruneScope(`${folder}/${name}`);
      else if (name === '.bin') pruneLinks(`${folder}/.bin`);
      else if (!OURS.test(name)) prunePackage(`${folder}/${name}`);
    }
  }

  function pruneScope(scope: string): void {
    if (!isDirectory(scope)) return remove(scope);
    for (const name of namesOf(scope)) prunePackage(`${scope}/${name}`);
    removeIfEmpty(scope);
  }

  function prunePackage(place: string): void {
    if (!kept.has(place) || !isDirectory(place)) return remove(place);
    const inner = `${place}/node_modules`;
    if (lstatSync(join(dir, inner), { throwIfNoEntry: false }) === undefined) return;
    if (!isDirectory(inner)) return remove(inner);
    prune(inner);
    removeIfEmpty(inner);
  }

  function pruneLinks(bin: string): void {
    if (!isDirectory(bin)) return remove(bin);
    for (const name of namesOf(bin)) if (!links.has(`${bin}/${name}`)) remove(`${bin}/${name}`);
    removeIfEmpty(bin);
  }

  function namesOf(folder: string): string[] {
    const path = join(dir, folder);
    return lstatSync(path, { throwIfNoEntry: false }) === undefined ? [] : readdirSync(path);
  }

  function removeIfEmpty(folder: string): void {
    if (!isDirectory(folder) || namesOf(folder).length > 0) return;
    try {
      rmdirSync(join(dir, folder));
    } catch (error) {
      // A mounted volume stays.
      if (systemCode(error) !== 'EBUSY') throw error;
    }
  }

  return { prune, removeIfEmpty };
}

/** npm's own record, of these packages alone. */
function trimmedRecord(dir: string, kept: ReadonlySet<string>): string {
  const record = readJson(join(dir, HIDDEN_LOCKFILE)) as { packages?: Record<string, Package> };
  const packages = Object.entries(record.packages ?? {}).filter(([location]) => kept.has(location));
  return `${JSON.stringify({ ...record, packages: Object.fromEntries(packages) }, undefined, 2)}\n`;
}
