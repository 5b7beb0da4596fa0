/**
 * The names of the directories that exist while a restore is under way. On the start-up path: loads only fs
 * and path.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** Where a tree is staged: in the home of the whole restore, beside the target, or inside it. */
export type Bay = 'home' | 'beside' | 'inside';

/** The name of a bay inside its target. */
export const INSIDE = '.sandbox-cache-staging';

/** @param path the target's real path */
export function bayDir(home: string, path: string, bay: Bay): string {
  switch (bay) {
    case 'home':
      return home;
    case 'beside':
      return join(dirname(path), `.sandbox-cache-${basename(path)}`);
    case 'inside':
      return join(path, INSIDE);
  }
}

/** e.g. `.sandbox-cache-vendor-bundle` in the project */
export function projectHome(projectDir: string, mainTarget: string): string {
  return join(projectDir, `.sandbox-cache-${mainTarget.replaceAll('/', '-')}`);
}

/**
 * Whether a restore is under way or was killed. Takes three system calls, because every start whose receipt
 * matches asks.
 */
export function hasLeftovers(projectDir: string, mainTarget: string): boolean {
  const path = realPath(join(projectDir, mainTarget));
  const homes = [projectHome(projectDir, mainTarget), bayDir('', path, 'beside'), bayDir('', path, 'inside')];
  return homes.some(isThere);
}

function isThere(path: string): boolean {
  try {
    return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
  } catch {
    // The target is a file or cannot be searched, so nothing was staged in it.
    return false;
  }
}

function realPath(path: string): string {
  try {
    return realpathSync.native(path);
  } catch {
    return path;
  }
}
