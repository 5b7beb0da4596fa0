/**
 * A tree of `install-strategy=linked`: each package lives in node_modules/.store, in a folder of its own
 * beside links to what it depends on, and the project and its workspaces have links to their own
 * dependencies. Links are followed from the project on, as Node does, so that each package is looked at once
 * whatever npm calls its folder.
 */
import { readlinkSync } from 'node:fs';
import { join, posix } from 'node:path';
import { missingLinks } from './bins.ts';
import { mismatch } from './compare.ts';
import { type Evidence, type Mismatch, isCopied } from './evidence.ts';
import type { Edge } from './graph.ts';
import { moduleFolders, nameAt, type Package, type Packages } from './lockfile.ts';
import { excusable } from './optional.ts';
import { diskError, isFile, packagesIn, readManifest, statOf } from './tree.ts';

export const STORE = 'node_modules/.store';

/**
 * Whether the tree is linked. npm before 11.19 leaves the store behind when the strategy changes, but then no
 * link leads into it.
 */
export function isLinked(dir: string, packages: Packages): boolean {
  if (statOf(join(dir, STORE)) === undefined) return false;
  return moduleFolders(packages).some((folder) =>
    packagesIn(dir, folder).some((place) => leadsTo(dir, place)?.startsWith(`${STORE}/`) === true),
  );
}

/** A package, the project or a workspace, with the folder that holds its dependencies. */
interface Instance {
  location: string;
  folder: string;
}

export function linkedMismatches(evidence: Evidence): Mismatch[] {
  const { dir, packages, scope } = evidence;
  const mismatches: Mismatch[] = scope.absent.map((folder) => ({
    text: `${folder} is not here`,
    isOrphan: true,
  }));
  const optional = new Map<string, string>();
  const found = new Set<string>();
  const root = scope.includesRoot ? [{ location: '', folder: 'node_modules' }] : [];
  const queue: Instance[] = [...root, ...localInstances(evidence)];
  const seen = new Set<string>();
  for (const instance of queue) {
    if (seen.has(instance.folder)) continue;
    seen.add(instance.folder);
    for (const edge of wantedEdges(evidence, instance)) {
      const place = `${instance.folder}/${edge.name}`;
      const wanted = packages.get(edge.to)!;
      if (wanted.link === true) {
        const text = isCopied(evidence, edge.to) ? diskError(dir, place, {}) : diskError(dir, place, wanted);
        if (text !== undefined) mismatches.push({ text });
        continue;
      }
      if (wanted.inBundle === true) {
        const text = bundledFault(dir, instance, edge);
        if (text !== undefined) mismatches.push({ text });
        continue;
      }
      const target = leadsTo(dir, place);
      const manifest = target === undefined ? undefined : readManifest(join(dir, target));
      if (target === undefined || manifest === undefined) {
        const text = target === undefined ? `${place} is missing` : `${place} leads to no package`;
        if (isOptional(edge)) optional.set(edge.to, text);
        else mismatches.push({ text });
        continue;
      }
      const difference = mismatch(wanted, manifest, evidence.lockfile);
      if (difference !== undefined) mismatches.push({ text: `${place} ${difference}` });
      if (evidence.settings.binLinks) {
        mismatches.push(...missingLinks(dir, place, wanted).map((path) => ({ text: `${path} is missing` })));
      }
      found.add(edge.to);
      queue.push({ location: edge.to, folder: folderAround(target) });
    }
  }
  if (optional.size === 0) return mismatches;
  // A package that is only needed by a missing package is missing too.
  const isAbsent = ([location, { optional }]: [string, Package]): boolean =>
    optional === true && !found.has(location);
  const excused = excusable(evidence, new Set([...packages].filter(isAbsent).map(([location]) => location)));
  const missed = [...optional].filter(([location]) => !excused.has(location));
  return [...mismatches, ...missed.map(([, text]) => ({ text }))];
}

/** Workspaces and linked folders that are in this checkout. */
function localInstances(evidence: Evidence): Instance[] {
  const { dir, packages, scope } = evidence;
  return [...packages]
    .filter(
      ([location, { link }]) =>
        link === true &&
        scope.includes(location) &&
        !scope.isOrphan(location) &&
        !isCopied(evidence, location),
    )
    .map(([, { resolved = '' }]) => ({ location: resolved, folder: posix.join(resolved, 'node_modules') }))
    .filter(({ location }) => isFile(join(dir, location, 'package.json')));
}

/**
 * Like arborist's `IsolatedReifier`: kinds of dependencies are left out only of the project and its
 * workspaces.
 */
function wantedEdges({ dir, packages, scope, settings }: Evidence, { location, folder }: Instance): Edge[] {
  const { omit } = settings;
  const isOurs = !location.includes('node_modules/');
  const root = packages.get('') ?? {};
  const declared = { ...root.dependencies, ...root.optionalDependencies, ...root.devDependencies };
  return scope.graph.edgesFrom(location).filter((edge) => {
    const { type, to, name } = edge;
    if (!scope.includes(to)) return false;
    // npm does not install a package only because it is an optional peer.
    if (type === 'peerOptional' && scope.isOrphan(to) && leadsTo(dir, `${folder}/${name}`) === undefined)
      return false;
    // npm 11 links a workspace into the project only if the project depends on it by name.
    if (type === 'workspace') return Object.hasOwn(declared, name);
    if (type === 'peer' && isOurs && omit.has('peer')) return false;
    return !isOurs || !((type === 'dev' && omit.has('dev')) || (isOptional(edge) && omit.has('optional')));
  });
}

function isOptional({ type }: Edge): boolean {
  return type === 'optional' || type === 'peerOptional';
}

/** A package's bundled dependencies are inside it. Those of the project are where the lockfile says. */
function bundledFault(dir: string, { location, folder }: Instance, { name, to }: Edge): string | undefined {
  const own = nameAt(location);
  const places = [to, `${folder}/${own}/node_modules/${name}`];
  return places.some((place) => isFile(join(dir, place, 'package.json')))
    ? undefined
    : `${places[1]} is missing`;
}

/**
 * `node_modules/ms` → `node_modules/.store/ms@2.1.3-<hash>/node_modules/ms`; undefined when it is no link.
 */
function leadsTo(dir: string, place: string): string | undefined {
  try {
    return posix.join(posix.dirname(place), readlinkSync(join(dir, place)));
  } catch {
    return undefined;
  }
}

function folderAround(place: string): string {
  const at = place.lastIndexOf('node_modules/');
  return place.slice(0, at + 'node_modules'.length);
}
