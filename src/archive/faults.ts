/** The failures that an archive can be the cause of, in one wording. Names are binary strings, see tar-header.ts. */
import { readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { CacheError, systemCode } from '../errors.ts';

/** @param what completes "The archive holds …" */
export function corrupt(what: string, cause?: unknown): CacheError {
  return new CacheError('ARCHIVE_CORRUPT', `The archive is corrupt: it holds ${what}`, {
    cause,
    hint: CORRUPT_HINT,
  });
}

/** @param where completes "The archive ends …" */
export function truncated(where: string, cause?: unknown): CacheError {
  return new CacheError('ARCHIVE_TRUNCATED', `The archive is truncated: it ends ${where}`, {
    cause,
    hint: CORRUPT_HINT,
  });
}

/** @param why completes "entry NAME …" */
export function refuse(path: string, why: string): CacheError {
  return new CacheError('ARCHIVE_REFUSED', `The archive's entry ${shown(path)} ${why}`, {
    hint: 'Nothing was restored. Find out who wrote this entry, then replace it with: sandbox-cache save --force',
  });
}

/**
 * @param what completes "The archive has …"
 * @param variable that raises the limit
 */
export function limit(what: string, variable?: string): CacheError {
  return new CacheError(
    'ARCHIVE_LIMIT',
    `The archive has ${what}`,
    variable === undefined ? {} : { hint: `If that is right, raise ${variable}` },
  );
}

/** Not the archive's fault, so it is no reason to replace it: elsewhere they are two names. */
export function folded(path: string): CacheError {
  return new CacheError(
    'TARGET_REFUSED',
    `${shown(path)} differs from another name of the archive only in case or Unicode form, and here they are one`,
    { hint: 'Restore to a file system that tells them apart, or install without the cache' },
  );
}

/** Whether a name that is taken is taken by itself, and not by another that this file system thinks the same. */
export function isListed(place: unknown): boolean {
  if (typeof place !== 'string') return true;
  try {
    // As UTF-8, like the paths in errors: what is none of it is lost on both sides.
    return readdirSync(dirname(place)).includes(basename(place));
  } catch {
    return true;
  }
}

/** What a failed write says: about the disk, this user's rights, or a name that was there before. */
export function writeFault(path: string, error: unknown): Error {
  const code = systemCode(error);
  if (error instanceof CacheError || code === undefined)
    return error instanceof Error ? error : new Error(String(error));
  switch (code) {
    case 'EEXIST': {
      const { dest, path: place } = error as { dest?: unknown; path?: unknown };
      return isListed(dest ?? place) ? refuse(path, 'is there twice') : folded(path);
    }
    case 'ENOTDIR':
    case 'EISDIR':
      return refuse(path, 'is both a file and a directory');
    case 'ELOOP':
      return refuse(path, 'lies behind a symlink');
    case 'ENAMETOOLONG':
      return limit(`a name that is too long for this file system (${shown(path)})`);
    case 'ENOSPC':
    case 'EDQUOT':
      return new CacheError('DISK_FULL', `No space left to unpack ${shown(path)} (${code})`, {
        cause: error,
        hint: 'Free some space beside the target, or raise the quota; what was there before is untouched',
      });
    default:
      return new CacheError('TARGET_UNWRITABLE', `Cannot write ${shown(path)} (${code})`, {
        cause: error,
        hint: 'Check that this user may write beside the target',
      });
  }
}

/** A binary string for people: UTF-8, quoted, control characters escaped, not too long. */
export function shown(path: string): string {
  const text = Buffer.from(path.slice(0, 400), 'latin1').toString('utf8');
  return JSON.stringify(path.length > 400 ? `${text}…` : text);
}

const CORRUPT_HINT = 'Nothing was restored; the next save replaces the entry';
