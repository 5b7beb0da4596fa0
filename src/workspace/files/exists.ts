import { lstatSync } from 'node:fs';
import type { Path } from './removal.ts';

/**
 * Whether anything has this name, a symlink that leads nowhere included.
 * @throws system errors of a path that cannot be looked at
 */
export function exists(path: Path): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
