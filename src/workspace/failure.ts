import { CacheError, systemCode } from '../errors.ts';

/** What the user is told when the file system refuses something. `doing` completes "Cannot …". */
export function targetError(error: unknown, doing: string): unknown {
  if (error instanceof CacheError) return error;
  const code = systemCode(error);
  switch (code) {
    case undefined:
      return error;
    case 'ENOSPC':
    case 'EDQUOT':
      return new CacheError(
        'DISK_FULL',
        `Cannot ${doing}: ${code === 'EDQUOT' ? 'the quota is used up' : 'the disk is full'}`,
        {
          hint: 'A restore needs room for the new tree beside the old one. Free some space and run it again.',
          cause: error,
        },
      );
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new CacheError('TARGET_UNWRITABLE', `Cannot ${doing}: ${reasons[code]}`, {
        hint: 'Run as the user that owns the directory, or mount it writable.',
        cause: error,
      });
    default:
      return new CacheError('TARGET_UNWRITABLE', `Cannot ${doing}: ${code}`, { cause: error });
  }
}

const reasons = {
  EACCES: 'permission denied',
  EPERM: 'not permitted',
  EROFS: 'the file system is read-only',
} as const;
