/**
 * Who depends on whom in a lockfile. npm records names and locations. Which package a name means is found as
 * Node finds it.
 */
import type { Package, Packages } from './lockfile.ts';

export interface Edge {
  /** Locations; `from` is never a link, `to` may be one. */
  from: string;
  to: string;
  name: string;
  type: 'prod' | 'dev' | 'optional' | 'peer' | 'peerOptional' | 'workspace';
}

export interface Graph {
  edgesFrom(location: string): readonly Edge[];
  edgesTo(location: string): readonly Edge[];
  isWorkspaceLink(location: string): boolean;
}

/** @param withPeers false under `legacy-peer-deps`, where npm ignores peers */
export function createGraph(packages: Packages, { withPeers }: { withPeers: boolean }): Graph {
  const isWorkspaceLink = workspaceLinks(packages);
  const from = new Map<string, Edge[]>();
  let to: Map<string, Edge[]> | undefined;
  const edgesFrom = (location: string): readonly Edge[] => {
    const known = from.get(location);
    if (known !== undefined) return known;
    const all = edgesOf(packages, location, isWorkspaceLink);
    const found = withPeers ? all : all.filter(({ type }) => type !== 'peer' && type !== 'peerOptional');
    from.set(location, found);
    return found;
  };
  return {
    edgesFrom,
    edgesTo(location) {
      to ??= byTarget([...packages.keys()].flatMap(edgesFrom));
      return to.get(location) ?? [];
    },
    isWorkspaceLink,
  };
}

function byTarget(edges: readonly Edge[]): Map<string, Edge[]> {
  const found = new Map<string, Edge[]>();
  for (const edge of edges) {
    const others = found.get(edge.to);
    if (others === undefined) found.set(edge.to, [edge]);
    else others.push(edge);
  }
  return found;
}

/**
 * Like arborist's `Node._loadDeps`: if one name comes in several kinds, the last one counts, but a workspace
 * stays a workspace.
 */
function edgesOf(
  packages: Packages,
  location: string,
  isWorkspaceLink: (location: string) => boolean,
): Edge[] {
  const entry = packages.get(location);
  if (entry === undefined) return [];
  if (entry.link === true) {
    const to = entry.resolved ?? '';
    return packages.has(to) ? [{ from: location, to, name: '', type: 'prod' }] : [];
  }
  const edges = new Map<string, Edge>();
  for (const [name, type] of dependenciesOf(entry)) {
    const to = findModule(packages, location, name);
    if (to !== undefined) edges.set(name, { from: location, to, name, type });
  }
  if (location === '') {
    for (const to of packages.keys()) {
      const name = to.slice('node_modules/'.length);
      if (isWorkspaceLink(to)) edges.set(name, { from: location, to, name, type: 'workspace' });
    }
  }
  return [...edges.values()];
}

function* dependenciesOf(entry: Package): Generator<[name: string, type: Edge['type']]> {
  const { peerDependencies = {}, peerDependenciesMeta = {} } = entry;
  for (const name of Object.keys(peerDependencies)) {
    yield [name, peerDependenciesMeta[name]?.optional === true ? 'peerOptional' : 'peer'];
  }
  for (const name of Object.keys(entry.dependencies ?? {})) yield [name, 'prod'];
  for (const name of Object.keys(entry.optionalDependencies ?? {})) yield [name, 'optional'];
  for (const name of Object.keys(entry.devDependencies ?? {})) yield [name, 'dev'];
}

/**
 * The first `node_modules/<name>` on the way up from a package. A package outside the project has nothing
 * above it. npm removes what it calls extraneous before anything can lead there.
 */
function findModule(packages: Packages, location: string, name: string): string | undefined {
  for (let folder = location; ; folder = folder.slice(0, Math.max(folder.lastIndexOf('/'), 0))) {
    const place = folder === '' ? `node_modules/${name}` : `${folder}/node_modules/${name}`;
    if (packages.has(place) && packages.get(place)?.extraneous !== true) return place;
    if (folder === '' || folder === '..' || folder.endsWith('/..')) return undefined;
  }
}

/** The project's workspaces are the links that no dependency names by a path (`"a": "file:../a"`). */
function workspaceLinks(packages: Packages): (location: string) => boolean {
  const links = [...packages].filter(
    ([location, { link }]) => link === true && !location.includes('/node_modules/'),
  );
  if (links.length === 0) return () => false;
  const byPath = new Set<string>();
  for (const { dependencies, optionalDependencies, devDependencies } of packages.values()) {
    for (const [name, spec] of [dependencies, optionalDependencies, devDependencies].flatMap((all) =>
      Object.entries(all ?? {}),
    )) {
      if (/^(?:file|link):/.test(spec)) byPath.add(name);
    }
  }
  const workspaces = new Set(
    links
      .map(([location]) => location)
      .filter((location) => !byPath.has(location.slice('node_modules/'.length))),
  );
  return (location) => workspaces.has(location);
}
