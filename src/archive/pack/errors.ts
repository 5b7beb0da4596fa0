/** What goes wrong with a tree while it is packed. */
import { CacheError, systemCode } from '../../errors.ts';
import { isOutOfFiles, MORE_FILES_HINT } from '../../files/read-errors.ts';

/** What a failed read says about the tree: gone is a change, anything else cannot be read. */
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
 * What opening says of a file that is now a directory, a symlink or a socket, or of one below such a thing.
 */
const BECAME_ANOTHER: ReadonlySet<string> = new Set(['ENOTDIR', 'EISDIR', 'ELOOP', 'ENXIO']);
