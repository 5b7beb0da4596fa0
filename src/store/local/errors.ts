import { CacheError, systemCode } from '../../errors.ts';

export type FileWork = 'read' | 'write' | 'remove';

/** A `CacheError` for a failed system call; anything else passes through. */
export function describeFileFailure(
  error: unknown,
  { doing, path, dir }: { doing: FileWork; path: string; dir: string },
): unknown {
  const code = systemCode(error);
  if (code === undefined || error instanceof CacheError) return error;
  const what = `Cannot ${doing} ${path} (${code})`;
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new CacheError('DISK_FULL', what, {
      hint: 'Make room, or lower CACHE_LOCAL_MAX_SIZE.',
      cause: error,
    });
  }
  if (code === 'EACCES' || code === 'EPERM' || code === 'EROFS') {
    const hint = `Let this user ${doing === 'read' ? 'read' : 'write'} in CACHE_LOCAL_DIR (${dir}).`;
    return new CacheError('STORE_ACCESS_DENIED', what, { hint, cause: error });
  }
  const hint = `Check CACHE_LOCAL_DIR (${dir}): it must be a directory of a working disk.`;
  return new CacheError('STORE_FAILED', what, { hint, cause: error });
}
