/**
 * Where notes about projects are kept that no checkout may bring along: in this user's private directory,
 * inside the system's directory for temporary files. That lasts from one command to the next.
 */
import { createHash } from 'node:crypto';
import { lstatSync, mkdirSync, realpathSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { geteuid } from 'node:process';
import { CacheError, systemCode } from '../../errors.ts';
import { contains } from '../files/mounts.ts';

/** e.g. `/tmp/sandbox-cache-1000` */
export function privateDir(): string {
  return join(tmpdir(), `sandbox-cache-${geteuid?.() ?? 'user'}`);
}

/** One for each project, e.g. `/tmp/sandbox-cache-1000/rejected-npm-0f1e2d3c4b5a6978.json`. */
export function privatePath(projectDir: string, name: string, extension: string): string {
  const project = createHash('sha256').update(realpathSync(projectDir)).digest('hex').slice(0, 16);
  return join(privateDir(), `${name}-${project}.${extension}`);
}

/** @throws CacheError TARGET_REFUSED; system errors */
export function makePrivateDir(projectDir: string): void {
  try {
    mkdirSync(privateDir(), { mode: 0o700 });
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
  }
  requirePrivate(projectDir);
}

/**
 * Checks that the directory is ours alone. Anybody may have made it first if the directory for temporary
 * files is shared, and the project may contain that directory.
 * @throws CacheError TARGET_REFUSED; system errors, `ENOENT` where there is none yet
 */
export function requirePrivate(projectDir: string): void {
  const dir = privateDir();
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
