/**
 * Which packages of a lockfile an install puts on disk. Settings narrow it down (`omit`, `workspace`). So
 * does a checkout without some of the workspaces: npm leaves out what only those need.
 */
import { join, posix } from 'node:path';
import { createGraph, type Edge, type Graph } from './graph.ts';
import { type Package, type Packages, projectFolder } from './lockfile.ts';
import type { Settings } from './settings.ts';
import { statOf } from './tree.ts';

export interface Scope {
  graph: Graph;
  /** Whether npm installs it here under these settings. */
  includes(location: string): boolean;
  /** Whether it installs what the project itself depends on, or only what chosen workspaces do. */
  includesRoot: boolean;
  /** Whether nothing in this checkout needs it. */
  isOrphan(location: string): boolean;
  /** The workspaces of the lockfile that are not in this checkout, e.g. `packages/web`. */
  absent: readonly string[];
}

export function scopeOf(dir: string, packages: Packages, settings: Settings): Scope {
  const graph = createGraph(packages, { withPeers: !settings.legacyPeerDeps });
  const workspaces = [...packages].filter(([location]) => graph.isWorkspaceLink(location));
  const absent = workspaces.filter(([, { resolved = '' }]) => !isProject(join(dir, resolved)));
  const lost = new Set(absent.map(([location]) => location));
  const { dependencies, devDependencies, optionalDependencies } = packages.get('') ?? {};
  const named = { ...dependencies, ...devDependencies, ...optionalDependencies };
  // npm does not know a workspace that is not here, unless something else depends on it by name.
  const isKnown = ({ type, to, name }: Edge): boolean => {
    if (type === 'workspace') return !lost.has(to) || Object.hasOwn(named, name);
    // npm does not install a package only because it is an optional peer. One that is there is used, and
    // needs its own dependencies.
    return type !== 'peerOptional' || statOf(join(dir, to)) !== undefined;
  };
  const owners = settings.omit.size === 0 ? NOBODY : ownersOf(packages, graph);
  // The lockfile's flags are for the whole project. If a workspace is missing, npm works them out again.
  const isInstalled = (edge: Edge): boolean =>
    isKnown(edge) && !(owners.has(projectFolder(edge.from)) && isLeftOut(edge, settings));
  const here = lost.size === 0 ? undefined : reach(graph, [''], isInstalled);
  const chosen = filtered({ dir, packages, graph, settings, lost });
  const isOmitted = omission(packages, owners, settings);
  return {
    graph,
    includes: (location) => (chosen === undefined || chosen.has(location)) && !isOmitted(location),
    includesRoot: chosen === undefined || settings.ignoreWorkspaces || settings.includeRoot,
    isOrphan: (location) => here !== undefined && !here.has(location),
    absent: absent.map(([, { resolved = '' }]) => resolved),
  };
}

/** Whether the folder is a package of its own. npm looks at the same file. */
function isProject(folder: string): boolean {
  return statOf(join(folder, 'package.json')) !== undefined;
}

interface Filtering {
  dir: string;
  packages: Packages;
  graph: Graph;
  settings: Settings;
  lost: ReadonlySet<string>;
}

/** As arborist's `Diff.calculate` with filter nodes. @returns undefined where all is installed */
function filtered({ dir, packages, graph, settings, lost }: Filtering): Set<string> | undefined {
  const starts: string[] = [];
  const { workspaces, ignoreWorkspaces, includeRoot } = settings;
  if (!ignoreWorkspaces && workspaces.length > 0) {
    const links = [...packages].filter(
      ([location]) => graph.isWorkspaceLink(location) && !lost.has(location),
    );
    starts.push(
      ...links
        .filter(([location, link]) => isNamed(dir, location, link, workspaces))
        .map(([location]) => location),
    );
  }
  if (ignoreWorkspaces || (includeRoot && workspaces.length > 0)) {
    starts.push(...graph.edgesFrom('').flatMap(({ type, to }) => (type === 'workspace' ? [] : [to])));
  }
  // A version 1 lockfile does not say what the project and its workspaces need.
  if (!packages.has('') && (ignoreWorkspaces || workspaces.length > 0)) return new Set();
  return starts.length === 0 ? undefined : reach(graph, starts, () => true);
}

/** By its name, its folder, or a folder above it. */
function isNamed(
  dir: string,
  location: string,
  { resolved = '' }: Package,
  filters: readonly string[],
): boolean {
  return filters.some((filter) => {
    const folder = posix.relative(dir, posix.resolve(dir, filter));
    return location === `node_modules/${filter}` || resolved === folder || posix.dirname(resolved) === folder;
  });
}

/** The starts, and everything that they lead to. */
function reach(graph: Graph, starts: readonly string[], isFollowed: (edge: Edge) => boolean): Set<string> {
  const found = new Set(starts);
  for (const location of found) {
    for (const edge of graph.edgesFrom(location)) if (isFollowed(edge)) found.add(edge.to);
  }
  return found;
}

const NOBODY: ReadonlySet<string> = new Set();

/** The project and its workspaces: what `omit` is about. */
function ownersOf(packages: Packages, graph: Graph): ReadonlySet<string> {
  const links = [...packages].filter(([location]) => graph.isWorkspaceLink(location));
  return new Set(['', ...links.map(([, { resolved = '' }]) => resolved)]);
}

function isLeftOut({ type }: Edge, { omit }: Settings): boolean {
  if (type === 'peerOptional') return omit.has('peer') || omit.has('optional');
  return omit.has(type);
}

/**
 * Like arborist's `Node.shouldOmit`: what lies below a linked folder that is not a workspace is never left
 * out. `legacy-peer-deps` ignores peers.
 */
function omission(
  packages: Packages,
  owners: ReadonlySet<string>,
  { omit, legacyPeerDeps }: Settings,
): (location: string) => boolean {
  if (omit.size === 0 && !legacyPeerDeps) return () => false;
  return (location) => {
    const { dev, optional, devOptional, peer } = flagsOf(packages, packages.get(location) ?? {});
    if (peer === true && legacyPeerDeps) return true;
    if (!owners.has(projectFolder(location))) return false;
    return (
      (dev === true && omit.has('dev')) ||
      (optional === true && omit.has('optional')) ||
      (devOptional === true && omit.has('dev') && omit.has('optional')) ||
      (peer === true && omit.has('peer'))
    );
  };
}

/** A link's own entry only says where it leads. The target's entry has the flags. */
export function flagsOf(packages: Packages, entry: Package): Package {
  if (entry.link !== true || entry.resolved === undefined) return entry;
  return packages.get(entry.resolved) ?? entry;
}
