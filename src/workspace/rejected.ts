/**
 * Self-healing: an entry that failed its checks here is noted, and the next save here replaces exactly that object.
 *
 * A note decides what a save may replace, so no checkout may bring one along, or a pull request could replace everybody's
 * entry by a tree of its own. Notes therefore lie outside the project: in a private directory of this user, in the
 * system's directory for temporary files, which lasts from a restore to the save that follows it.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { geteuid } from 'node:process';
import { CacheError, systemCode } from '../errors.ts';
import { readSmallText } from '../files/read-small-file.ts';
import { replaceFile } from './atomic-file.ts';
import { targetError } from './failure.ts';
import { contains } from './mounts.ts';

export interface Rejected {
  key: string;
  /** Of the object that failed: another one under the same key is not to be replaced. */
  etag: string;
  reason: string;
  /** What the settings left out of the tree when it failed, where it failed for lack of something (see `Recipe.leftOut`). */
  leftOut?: string;
}

/** @throws CacheError TARGET_REFUSED, TARGET_UNWRITABLE, DISK_FULL */
export function noteRejected(projectDir: string, recipe: string, note: Rejected): void {
  const dir = notesDir();
  try {
    makeNotesDir(dir);
    requirePrivate(dir, projectDir);
    replaceFile(notePath(projectDir, recipe), `${JSON.stringify(note, undefined, 2)}\n`, 0o600);
  } catch (error) {
    throw targetError(error, `write a note in ${dir}`);
  }
}

/** @returns undefined when there is no note, or none that can be trusted */
export function readRejected(projectDir: string, recipe: string): Rejected | undefined {
  try {
    requirePrivate(notesDir(), projectDir);
    const text = readSmallText(notePath(projectDir, recipe), {
      maxBytes: MAX_NOTE_BYTES,
      followLinks: false,
    });
    const { key, etag, reason, leftOut } = JSON.parse(text) as Partial<Rejected>;
    if (typeof key !== 'string' || typeof etag !== 'string' || typeof reason !== 'string') return undefined;
    return { key, etag, reason, ...(typeof leftOut === 'string' ? { leftOut } : {}) };
  } catch {
    return undefined;
  }
}

/** @throws CacheError TARGET_UNWRITABLE */
export function clearRejected(projectDir: string, recipe: string): void {
  if (readRejected(projectDir, recipe) === undefined) return;
  const path = notePath(projectDir, recipe);
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw targetError(error, `remove ${path}`);
  }
}

/** A key has at most 1,024 bytes; a reason may name a path or two. */
const MAX_NOTE_BYTES = 64 * 1024;

function makeNotesDir(dir: string): void {
  try {
    mkdirSync(dir, { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
}

/**
 * Anybody may make the directory first, where temporary files are for all, and a project may hold them itself.
 * @throws CacheError TARGET_REFUSED; system errors
 */
function requirePrivate(dir: string, projectDir: string): void {
  const stat = lstatSync(dir);
  const isOurs = stat.isDirectory() && stat.uid === (geteuid?.() ?? stat.uid) && (stat.mode & 0o077) === 0;
  if (isOurs && !contains(realpathSync(projectDir), realpathSync(dir))) return;
  throw new CacheError(
    'TARGET_REFUSED',
    `${dir} is not a private directory of this user outside the project`,
    {
      hint: 'Remove it, or set TMPDIR to a directory of your own.',
    },
  );
}

/** e.g. `/tmp/sandbox-cache-1000` */
function notesDir(): string {
  return join(tmpdir(), `sandbox-cache-${geteuid?.() ?? 'user'}`);
}

/** e.g. `/tmp/sandbox-cache-1000/rejected-npm-0f1e2d3c4b5a6978.json`: one for each project. */
function notePath(projectDir: string, recipe: string): string {
  const project = createHash('sha256').update(realpathSync(projectDir)).digest('hex').slice(0, 16);
  return join(notesDir(), `rejected-${recipe}-${project}.json`);
}
