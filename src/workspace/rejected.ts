/**
 * Self-healing: an entry that failed its checks here is noted, and the next save here replaces exactly that object. The
 * note lies in the project, not in the target: `npm ci`, which comes next, empties `node_modules`.
 */
import { lstatSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { replaceFile } from './atomic-file.ts';
import { targetError } from './failure.ts';

export interface Rejected {
  key: string;
  /** Of the object that failed: another one under the same key is not to be replaced. */
  etag: string;
  reason: string;
  /** What the settings left out of the tree when it failed, where it failed for lack of something (see `Recipe.leftOut`). */
  leftOut?: string;
}

/** @throws CacheError TARGET_UNWRITABLE, DISK_FULL */
export function noteRejected(projectDir: string, recipe: string, note: Rejected): void {
  try {
    replaceFile(notePath(projectDir, recipe), `${JSON.stringify(note, undefined, 2)}\n`, 0o644);
  } catch (error) {
    throw targetError(error, `write ${noteName(recipe)}`);
  }
}

/** @returns undefined when there is no note, or none that can be read */
export function readRejected(projectDir: string, recipe: string): Rejected | undefined {
  try {
    const path = notePath(projectDir, recipe);
    if (!lstatSync(path).isFile()) return undefined;
    const { key, etag, reason, leftOut } = JSON.parse(readFileSync(path, 'utf8')) as Partial<Rejected>;
    if (typeof key !== 'string' || typeof etag !== 'string' || typeof reason !== 'string') return undefined;
    return { key, etag, reason, ...(typeof leftOut === 'string' ? { leftOut } : {}) };
  } catch {
    return undefined;
  }
}

/** @throws CacheError TARGET_UNWRITABLE */
export function clearRejected(projectDir: string, recipe: string): void {
  try {
    rmSync(notePath(projectDir, recipe), { force: true });
  } catch (error) {
    throw targetError(error, `remove ${noteName(recipe)}`);
  }
}

function notePath(projectDir: string, recipe: string): string {
  return join(projectDir, noteName(recipe));
}

/** e.g. `.sandbox-cache-rejected-npm.json` */
function noteName(recipe: string): string {
  return `.sandbox-cache-rejected-${recipe}.json`;
}
