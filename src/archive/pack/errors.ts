/** The errors of a tree that is being packed. */
import { CacheError, systemCode } from '../../errors.ts';
import { isOutOfFiles, MORE_FILES_HINT } from '../../files/read-errors.ts';

/**
 * The error for a failed read. A missing file means that the tree has changed; anything else cannot be read.
 */
export function sourceError(path: string, error: unknown): Error {
  if (error instanceof CacheError) return error;
  const code = systemCode(error);
  if (code === undefined) return error instanceof Error ? error : new Error(String(error));
  if (code === 'ENOENT') return changed(path, 'vanished', error);
  if (BECAME_ANOTHER.has(code)) return changed(path, 'changed', error);
  return new CacheError('SOURCE_UNREADABLE', `${readable(path)} cannot be read (${code})`, {
    hint: isOutOfFiles(error) ? MORE_FILES_HINT : 'Make it readable for this user, or remove it.',
    cause: error,
  });
}

export function changed(path: string, how: 'changed' | 'vanished' | 'appeared', cause?: unknown): CacheError {
  return new CacheError('SOURCE_CHANGED', `${readable(path)} ${how} while it was being packed`, {
    hint: 'Nothing was saved. Save again once the installer is done.',
    cause,
  });
}

/** A binary string as text for people. */
export function readable(path: string): string {
  return Buffer.from(path, 'latin1').toString('utf8');
}

/**
 * Error codes of opening a file that has become a directory, a symlink or a socket, or that is now below such
 * a thing.
 */
const BECAME_ANOTHER: ReadonlySet<string> = new Set(['ENOTDIR', 'EISDIR', 'ELOOP', 'ENXIO']);
