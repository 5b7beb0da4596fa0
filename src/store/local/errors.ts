import { CacheError, systemCode } from '../../errors.ts';
import { MORE_FILES_HINT } from '../../files/read-errors.ts';

export type FileWork = 'read' | 'write' | 'remove';

/** A `CacheError` for a failed system call; anything else passes through. */
export function describeFileError(
  error: unknown,
  { doing, path, dir }: { doing: FileWork; path: string; dir: string },
): unknown {
  const code = systemCode(error);
  if (code === undefined || error instanceof CacheError) return error;
  const what = `Cannot ${doing} ${path} (${code})`;
  switch (code) {
    case 'ENOSPC':
    case 'EDQUOT':
      return new CacheError('DISK_FULL', what, {
        hint: 'Make room, or lower CACHE_LOCAL_MAX_SIZE.',
        cause: error,
      });
    case 'EACCES':
    case 'EPERM':
    case 'EROFS':
      return new CacheError('STORE_ACCESS_DENIED', what, { hint: permission(doing, dir), cause: error });
    case 'EMFILE':
    case 'ENFILE':
      return new CacheError('STORE_FAILED', what, {
        hint: `Too many files are open. ${MORE_FILES_HINT}`,
        cause: error,
      });
    default: {
      const hint = `Check CACHE_LOCAL_DIR (${dir}): it must be a directory of a working disk.`;
      return new CacheError('STORE_FAILED', what, { hint, cause: error });
    }
  }
}

export function notRegular(path: string): CacheError {
  return new CacheError('STORE_FAILED', `${path} is not a regular file`, {
    hint: 'Remove it, and find out who else writes in CACHE_LOCAL_DIR.',
  });
}

function permission(doing: FileWork, dir: string): string {
  if (doing === 'read') return `Let this user read in CACHE_LOCAL_DIR (${dir}).`;
  return `Let this user write in CACHE_LOCAL_DIR (${dir}) and in the folders in it. Several users share one by a group: chgrp -R and chmod -R g+ws.`;
}
