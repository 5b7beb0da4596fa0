/** The failures that an archive can be the cause of, in one wording. Names are binary strings, see tar-header.ts. */
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

/** What a failed write says: about the disk, this user's rights, or a name that was there before. */
export function writeFault(path: string, error: unknown): Error {
  const code = systemCode(error);
  if (error instanceof CacheError || code === undefined)
    return error instanceof Error ? error : new Error(String(error));
  switch (code) {
    case 'EEXIST':
      return refuse(path, 'is there twice, or differs from another only in case or Unicode form');
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
