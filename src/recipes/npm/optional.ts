/**
 * Which optional packages must be there. npm skips an optional package that fails for any reason, even a
 * broken download, and still ends with status 0. A tree without its `@esbuild/linux-x64` must not become an
 * entry. So an optional package may only be missing if the lockfile shows why: it is for another platform,
 * Node or npm; it runs a script, which may fail; or only such a package needs it.
 */
import type { Platform } from '../support/runtime.ts';
import type { Evidence, Host } from './evidence.ts';
import type { Edge } from './graph.ts';
import { nameAt, type Package } from './lockfile.ts';

/** @param missing locations of optional packages @returns those of them that npm may have left out */
export function excusable(evidence: Evidence, missing: ReadonlySet<string>): Set<string> {
  const { packages, host } = evidence;
  // A version 1 lockfile lists neither platforms nor scripts.
  if (!packages.has('')) return new Set(missing);
  const names = new Set([...packages.keys()].map(nameAt));
  const failed = [...missing].filter((location) =>
    mayFail(location, packages.get(location)!, { names, host }),
  );
  // The usual case: all are for other platforms, and each says so itself. Building the graph would cost more.
  if (failed.length === missing.size) return new Set(failed);
  return optionalSet(evidence, failed);
}

function mayFail(
  location: string,
  entry: Package,
  { names, host }: { names: ReadonlySet<string>; host: Host },
): boolean {
  const { hasInstallScript, peer, resolved, engines } = entry;
  return (
    hasInstallScript === true ||
    // The lockfile lists optional peers. Whether they are installed depends on npm's version.
    peer === true ||
    // Built from a repository, by scripts.
    resolved?.startsWith('git') === true ||
    engineRange(engines, 'npm') !== undefined ||
    !fitsNode(engineRange(engines, 'node'), host.nodeVersion) ||
    !isForPlatform({ ...entry, libc: entry.libc ?? libcByName(nameAt(location), names) }, host.platform)
  );
}

/**
 * Like arborist's `optionalSet`: the packages that need a failed one, and those that nothing else needs then.
 * Optional edges do not count: a package that others need only optionally is left out with them. Like npm 11,
 * this looks at all failed packages together; npm 10 looks at each by itself, and leaves out less.
 */
function optionalSet({ scope, settings }: Evidence, failed: readonly string[]): Set<string> {
  const { graph } = scope;
  const isLive = ({ from, type }: Edge): boolean =>
    from === '' ? type !== 'dev' || !settings.omit.has('dev') : scope.includes(from);
  const neededBy = (location: string): Edge[] =>
    graph.edgesTo(location).filter((edge) => isFirm(edge) && isLive(edge));
  const set = new Set(failed);
  for (const location of set) for (const { from } of neededBy(location)) if (from !== '') set.add(from);
  for (const location of set)
    for (const edge of graph.edgesFrom(location)) if (isFirm(edge)) set.add(edge.to);
  for (let changed = true; changed;) {
    changed = false;
    for (const location of set) {
      if (neededBy(location).every(({ from }) => set.has(from))) continue;
      set.delete(location);
      changed = true;
    }
  }
  return set;
}

function isFirm({ type }: Edge): boolean {
  return type !== 'optional' && type !== 'peerOptional';
}

function isForPlatform({ os, cpu, libc }: Package, platform: Platform): boolean {
  return includes(os, platform.os) && includes(cpu, platform.arch) && includes(libc, platform.libc);
}

/** As npm-install-checks `checkList`: none of the negated values, and one of the others if there are any. */
function includes(list: string | string[] | undefined, value: string | undefined): boolean {
  if (list === undefined) return true;
  if (value === undefined) return false;
  const entries = typeof list === 'string' ? [list] : list;
  if (entries.length === 1 && entries[0] === 'any') return true;
  const negated = entries.filter((entry) => entry.startsWith('!'));
  if (negated.includes(`!${value}`)) return false;
  return negated.length === entries.length || entries.includes(value);
}

/**
 * npm has written `libc` into lockfiles since 11.11. Before that, `npm install` learns it from the registry
 * and leaves the other variant out. Here only the names can tell: `@rollup/rollup-linux-x64-musl`,
 * `lightningcss-linux-x64-gnu`, and `@img/sharp-linux-x64` beside `@img/sharp-linuxmusl-x64`.
 */
function libcByName(name: string, names: ReadonlySet<string>): string | undefined {
  if (!name.includes('linux')) return undefined;
  if (/musl/.test(name)) return 'musl';
  if (/gnu|glibc/.test(name)) return 'glibc';
  const twins = [name.replace('linux', 'linuxmusl'), name.replace('linux', 'linux-musl'), `${name}-musl`];
  return twins.some((twin) => names.has(twin)) ? 'glibc' : undefined;
}

function engineRange(engines: Package['engines'], name: 'node' | 'npm'): string | undefined {
  const range = engines === undefined || Array.isArray(engines) ? undefined : engines[name];
  return range === '*' || range === '' ? undefined : range;
}

/** Also false for a range that we cannot judge. */
function fitsNode(range: string | undefined, version: string | undefined): boolean {
  if (range === undefined) return true;
  return version !== undefined && range.split('||').some((part) => satisfies(version, part.trim()));
}

/** `>=18`, `>= 10`, `^20.19.0`: what prebuilt packages write. */
function satisfies(version: string, range: string): boolean {
  const found = /^(>=|\^)\s*v?(\d+)(?:\.(\d+))?(?:\.(\d+))?$/.exec(range);
  if (found === null) return false;
  const least = found.slice(2).map((part) => Number(part ?? 0));
  const ours = version.split('.').map(Number);
  if (found[1] === '^' && ours[0] !== least[0]) return false;
  const at = least.findIndex((part, i) => part !== ours[i]);
  return at === -1 || (ours[at] ?? 0) > (least[at] ?? 0);
}
