/**
 * The failures that an archive can be the cause of, in one wording. Names are binary strings, see
 * tar-header.ts.
 */
import { readdirSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import { CacheError, systemCode } from '../errors.ts';
import { MORE_FILES_HINT } from '../files/read-errors.ts';

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
    variable === undefined ? {} : { hint: `If that is right, raise ${variable}.` },
  );
}

/** Not the archive's fault, so it is no reason to replace it: elsewhere they are two names. */
export function folded(path: string): CacheError {
  return new CacheError(
    'TARGET_REFUSED',
    `${shown(path)} differs from another name of the archive only in case or Unicode form, and here they are one`,
    { hint: 'Restore to a file system that tells them apart, or install without the cache.' },
  );
}

/**
 * What a failed decompression says: damage, or memory that this process could not get. An entry is replaced
 * for the first alone. Any other error is returned as it is.
 * @param error of zlib, zstd or whoever fed them
 */
export function codecError(error: unknown): unknown {
  const code = systemCode(error) ?? '';
  if (NO_CODEC_MEMORY.has(code)) return outOfMemory(error);
  if (code === 'ZSTD_error_frameParameter_windowTooLarge')
    return limit('a zstd window that is too large (pack it without --ultra and --long)');
  const damaged = code === 'ERR_BUFFER_TOO_LARGE' || /^(?:Z|ZSTD)_/.test(code);
  return damaged ? undecompressible((error as Error).message, error) : error;
}

/** @param why the decompressor's own words */
export function undecompressible(why: string, cause?: unknown): CacheError {
  return corrupt(`compressed data that is damaged (${why})`, cause);
}

const NO_CODEC_MEMORY: ReadonlySet<string> = new Set([
  'Z_MEM_ERROR',
  'ZSTD_error_memory_allocation',
  'ERR_ZLIB_INITIALIZATION_FAILED',
]);

/** Memory or address space that this process could not get: no fault of the archive's. */
export function outOfMemory(cause: unknown): CacheError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CacheError('OUT_OF_MEMORY', `This process cannot get the memory it needs (${reason})`, {
    cause,
    hint:
      'Give it more memory and address space (ulimit -v), set CACHE_WORKERS=1, or set ' +
      'NODE_OPTIONS=--disable-wasm-trap-handler, with which WebAssembly reserves 10 GB of addresses less.',
  });
}

/** The same of a buffer that could not be had; every other error as it is. */
export function memoryError(error: unknown): unknown {
  return error instanceof RangeError && /allocation failed|out of memory/i.test(error.message)
    ? outOfMemory(error)
    : error;
}

/**
 * What to say of a name that is taken already: by itself, which is the archive's fault, or by another name
 * that this file system thinks the same.
 * @param place that is taken, as errors of `node:fs` have it; undefined where they do not tell
 * @param why completes "entry NAME …"
 */
export function takenError(path: string, place: unknown, why: string): CacheError {
  if (typeof place !== 'string') return refuse(path, why);
  try {
    // As UTF-8, like the paths in errors: what is none of it is lost on both sides.
    return readdirSync(dirname(place)).includes(basename(place)) ? refuse(path, why) : folded(path);
  } catch (error) {
    return unwritable(path, error);
  }
}

/** What a failed write says: about the disk, this user's rights, or a name that was there before. */
export function writeError(path: string, error: unknown): Error {
  const code = systemCode(error);
  if (error instanceof CacheError || code === undefined)
    return error instanceof Error ? error : new Error(String(error));
  switch (code) {
    case 'EEXIST': {
      const { dest, path: place } = error as { dest?: unknown; path?: unknown };
      return takenError(path, dest ?? place, 'is there twice');
    }
    case 'ENOTDIR':
    case 'EISDIR':
      return refuse(path, 'is both a file and a directory');
    case 'ENAMETOOLONG':
      return limit(`a name that is too long for this file system (${shown(path)})`);
    case 'ENOSPC':
    case 'EDQUOT':
      return new CacheError('DISK_FULL', `No space left to unpack ${shown(path)} (${code})`, {
        cause: error,
        hint: 'Free some space beside the target, or raise the quota; what was there before is untouched.',
      });
    default:
      return unwritable(path, error);
  }
}

function unwritable(path: string, cause: unknown): CacheError {
  const code = systemCode(cause) ?? '';
  return new CacheError('TARGET_UNWRITABLE', `Cannot write ${shown(path)} (${code})`, {
    cause,
    hint: WRITE_HINTS[code] ?? 'Check that this user may write beside the target.',
  });
}

/** A binary string for people: UTF-8, quoted, control characters escaped, not too long. */
export function shown(path: string): string {
  const text = Buffer.from(path.slice(0, 400), 'latin1').toString('utf8');
  return JSON.stringify(path.length > 400 ? `${text}…` : text);
}

const WRITE_HINTS: Readonly<Record<string, string>> = {
  EFBIG: 'The file is larger than ulimit -f or the file system allows; what was there before is untouched.',
  EMFILE: MORE_FILES_HINT,
  ENFILE: MORE_FILES_HINT,
  ENOENT:
    'Something has removed what was staged, as git clean does. Run it again once that is over; what was there before is untouched.',
};

const CORRUPT_HINT = 'Nothing was restored; the next save replaces the entry.';
