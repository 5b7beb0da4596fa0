import { CacheError, systemCode } from '../../errors.ts';
import { MORE_FILES_HINT } from '../../files/read-errors.ts';

/** What the user is told when the file system refuses something. `doing` completes "Cannot …". */
export function targetError(error: unknown, doing: string): unknown {
  if (error instanceof CacheError) return error;
  const code = systemCode(error);
  if (code === undefined) return error;
  const message = `Cannot ${doing}: ${reasonOf(error)}`;
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new CacheError('DISK_FULL', message, {
      hint: 'A restore needs room for the new tree beside the old one. Free some space and run it again.',
      cause: error,
    });
  const hint = HINTS[code];
  return new CacheError('TARGET_UNWRITABLE', message, {
    cause: error,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** A system error for people, e.g. `permission denied (/project/node_modules/of-root)`. */
export function reasonOf(error: unknown): string {
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error.message : String(error);
  const { path } = error as { path?: unknown };
  const reason = REASONS[code] ?? code;
  return typeof path === 'string' ? `${reason} (${path})` : reason;
}

const REASONS: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EDQUOT: 'the quota is used up',
  EFBIG: 'a file would be too large',
  EMFILE: 'too many files are open',
  ENFILE: 'too many files are open',
  ENOENT: 'something is no longer there',
  ENOSPC: 'the disk is full',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
};

const OWNER_HINT = 'Run as the user that owns it, or mount it writable.';
const HINTS: Readonly<Record<string, string>> = {
  EACCES: OWNER_HINT,
  EPERM: `${OWNER_HINT} If it was made immutable, chattr -i undoes that.`,
  EROFS: OWNER_HINT,
  EFBIG: 'See ulimit -f, and what the file system takes.',
  EMFILE: MORE_FILES_HINT,
  ENFILE: MORE_FILES_HINT,
  ENOENT: 'Something has removed it during the run, as git clean does. Run it again once that is over.',
};
