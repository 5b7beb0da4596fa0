import type { Packages } from './lockfile.ts';
import type { Scope } from './scope.ts';
import type { Settings } from './settings.ts';
import type { Platform } from '../support/runtime.ts';

/** What a tree is judged by. */
export interface Evidence {
  dir: string;
  /** Its name, for messages. */
  lockfile: string;
  packages: Packages;
  /** npm's own record of what it installed. */
  recorded: Packages | undefined;
  settings: Settings;
  scope: Scope;
  host: Host;
  /** Whether npm's record is believed only as far as manifests agree with it. */
  readsManifests: boolean;
}

/** One thing that is wrong with a tree. */
export interface Mismatch {
  text: string;
  /** A dev dependency that is not there at all. */
  isMissingDev?: boolean;
  /** A missing package that only a workspace outside this checkout needs. */
  isOrphan?: boolean;
}

/** With `install-links` npm copies linked folders, but not workspaces. */
export function isCopied({ packages, scope, settings }: Evidence, location: string): boolean {
  return (
    settings.installLinks && packages.get(location)?.link === true && !scope.graph.isWorkspaceLink(location)
  );
}

export interface Host {
  platform: Platform;
  /** e.g. `20.19.0`; undefined when the node on PATH is not the one that runs this. */
  nodeVersion: string | undefined;
}
