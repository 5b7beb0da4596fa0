import { lstatSync } from 'node:fs';
import type { Path } from './removal.ts';

/**
 * Whether anything has this name, a symlink that leads nowhere included.
 * @throws a system error if that cannot be found out
 */
export function exists(path: Path): boolean {
  return lstatSync(path, { throwIfNoEntry: false }) !== undefined;
}
