/**
 * Which optional packages have to be there. npm passes over an optional package that fails for any reason, a broken
 * download too, and still ends with status 0; a tree without its `@esbuild/linux-x64` must not become an entry. So an
 * optional package that names this platform, runs no script, fits this Node and is asked for by something installed is
 * required. Of all others npm knows best.
 */
import type { Platform } from '../runtime.ts';
import type { Package, Packages } from './lockfile.ts';

export interface Host {
  platform: Platform;
  /** e.g. `20.19.0`; undefined when the node on PATH is not the one that runs this. */
  nodeVersion: string | undefined;
}

/** Tells for an optional package that was not installed whether it should have been. */
export function missedOptional(
  packages: Packages,
  installed: Packages,
  host: Host,
): (location: string, wanted: Package) => boolean {
  const askers = new Map<string, string[]>();
  for (const [location, { optionalDependencies }] of packages) {
    if (location.includes('node_modules/') && !installed.has(location)) continue;
    for (const name of Object.keys(optionalDependencies ?? {})) {
      askers.set(name, [...(askers.get(name) ?? []), location]);
    }
  }
  return (location, wanted) => {
    const at = location.lastIndexOf('node_modules/');
    const above = location.slice(0, at);
    const name = location.slice(at + 'node_modules/'.length);
    return (
      isForPlatform(wanted, host.platform) &&
      wanted.hasInstallScript !== true &&
      fitsNode(wanted, host.nodeVersion) &&
      (askers.get(name) ?? []).some((asker) => `${asker}/`.startsWith(above))
    );
  };
}

/** It says which platforms it is for, and this is one of them. */
function isForPlatform({ os, cpu, libc }: Package, platform: Platform): boolean {
  if (os === undefined && cpu === undefined && libc === undefined) return false;
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

/** False also when the range is one that we cannot judge. */
function fitsNode({ engines }: Package, version: string | undefined): boolean {
  const range = engines === undefined || Array.isArray(engines) ? undefined : engines['node'];
  if (range === undefined || range === '*') return true;
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
