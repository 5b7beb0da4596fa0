/**
 * Directories that a target or its bay needs above it. They are made if they are missing, and removed again
 * with what needed them.
 */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { systemCode } from '../../errors.ts';
import { removeEmpty } from './hidden.ts';
import { exists } from './exists.ts';

/** Makes a directory and its missing parents. @returns what was made, outermost first */
export function makeParents(dir: string): string[] {
  const missing: string[] = [];
  for (let at = dir; !exists(at); at = dirname(at)) missing.unshift(at);
  const made: string[] = [];
  try {
    for (const parent of missing) {
      mkdirSync(parent, { mode: 0o755 });
      made.push(parent);
    }
  } catch (error) {
    // Somebody else has made it. We can use it, and leave it and what is below it for them to remove.
    if (systemCode(error) === 'EEXIST') return [...made, ...makeParents(dir)];
    removeParents(made);
    throw error;
  }
  return made;
}

/** Removes those that are empty. @param parents as `makeParents` returns them */
export function removeParents(parents: readonly string[]): void {
  for (const parent of [...parents].reverse()) removeEmpty(parent);
}
