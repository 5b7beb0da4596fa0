/**
 * Reads the entries of a tar one after the other, with their pax and GNU extensions resolved. The main
 * thread, the workers and `inspect` all use it, so they cannot disagree about where an entry ends. The one
 * exception is the workers' fast path for ordinary headers (wasm/assembly/entries.ts); tests compare its
 * results with these.
 *
 * It is strict where tar programs differ or guess: whatever does not have exactly one meaning is refused.
 */
import {
  BLOCK,
  decodeHeader,
  decodePax,
  decodePaxTime,
  paddedLength,
  type RawHeader,
} from '../format/tar-header.ts';
import { corrupt, limit, refuse, shown } from '../errors.ts';

export type EntryKind = 'file' | 'directory' | 'hardlink' | 'symlink' | 'global';

export interface ReadEntry {
  kind: EntryKind;
  /** Binary strings, see tar-header.ts. A directory's may end in `/`. */
  path: string;
  linkPath: string;
  /** Permission bits; set-id and sticky bits are dropped. */
  mode: number;
  /** Bytes of content. */
  size: number;
  mtimeUs: number;
  /** Where the content begins. */
  at: number;
}

export interface ReadOptions {
  /** Whether to check header checksums. Foreign archives have no better ones. */
  checksums: boolean;
  maxPathBytes: number;
  maxBytes: number;
}

/** Extended headers are small: a name, a time, a few attributes. */
const MAX_EXTENSION = 1024 * 1024;

/**
 * Reads the entry whose header begins at `at`.
 * - an entry: its headers lie before `end`; its content may not
 * - a number: `tar` must have at least this many bytes before the entry can be read
 * - undefined: a block of zeros, the end of the tar
 * @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_REFUSED, ARCHIVE_LIMIT
 */
export function nextEntry(
  tar: Buffer,
  at: number,
  end: number,
  options: ReadOptions,
): ReadEntry | number | undefined {
  if (end - at < BLOCK) return at + BLOCK;
  if (tar[at] === 0 && isZero(tar, at)) return undefined;
  const header = decode(tar, at, options.checksums);
  const kind = KINDS[header.type];
  if (kind !== undefined) return resolve(kind, header, undefined, at + BLOCK, options);
  return readExtended(tar, at, end, header, options);
}

/** Bytes from the header's end to the next header. */
export function contentLength(entry: ReadEntry): number {
  return paddedLength(entry.size);
}

const KINDS: Readonly<Record<string, EntryKind>> = {
  '0': 'file',
  '\0': 'file',
  '7': 'file',
  '1': 'hardlink',
  '2': 'symlink',
  '5': 'directory',
};

const REFUSED_TYPES: Readonly<Record<string, string>> = {
  '3': 'a character device',
  '4': 'a block device',
  '6': 'a fifo',
  S: 'a sparse file (pack it without --sparse)',
  M: 'a piece of a multi-volume archive',
  D: 'an incremental dump',
};

interface Extensions {
  pax?: Map<string, string>;
  longPath?: string;
  longLink?: string;
}

/**
 * Reads an entry behind a pax header (`x`) or GNU long names (`L`, `K`), or a global pax header (`g`) by
 * itself.
 */
function readExtended(
  tar: Buffer,
  at: number,
  end: number,
  header: RawHeader,
  options: ReadOptions,
): ReadEntry | number | undefined {
  const extensions: Extensions = {};
  for (;;) {
    const kind = KINDS[header.type];
    if (kind !== undefined) return resolve(kind, header, extensions, at + BLOCK, options);
    if (!'xgLK'.includes(header.type)) {
      const what = REFUSED_TYPES[header.type] ?? `of the unknown type ${JSON.stringify(header.type)}`;
      throw refuse(extensions.pax?.get('path') ?? extensions.longPath ?? header.path, `is ${what}`);
    }
    if (header.size > MAX_EXTENSION) throw limit(`an extended header of ${header.size} bytes`);
    const dataAt = at + BLOCK;
    const dataEnd = dataAt + paddedLength(header.size);
    if (end < dataEnd) return dataEnd;
    const data = tar.subarray(dataAt, dataAt + header.size);

    if (header.type === 'g') {
      if (Object.keys(extensions).length > 0) throw corrupt('an extended header that belongs to no entry');
      checkGlobal(pax(data));
      return { ...header, kind: 'global', at: dataAt };
    }
    extend(extensions, header.type, data);
    at = dataEnd;
    if (end - at < BLOCK) return at + BLOCK;
    if (tar[at] === 0 && isZero(tar, at)) throw corrupt('an extended header that belongs to no entry');
    header = decode(tar, at, options.checksums);
  }
}

/** Each extension may come once. A second one would give the entry a second meaning. */
function extend(extensions: Extensions, type: string, data: Buffer): void {
  const key = type === 'x' ? 'pax' : type === 'L' ? 'longPath' : 'longLink';
  if (extensions[key] !== undefined) throw corrupt('two extended headers for one entry');
  if (key === 'pax') extensions.pax = pax(data);
  else extensions[key] = untilNul(data);
}

function resolve(
  kind: EntryKind,
  header: RawHeader,
  extensions: Extensions | undefined,
  at: number,
  options: ReadOptions,
): ReadEntry {
  let { path, linkPath, size, mtimeUs } = header;
  if (extensions !== undefined) {
    const { pax, longPath, longLink } = extensions;
    if (pax !== undefined) {
      for (const key of pax.keys())
        if (key.startsWith('GNU.sparse.')) throw refuse(pax.get('path') ?? path, `is ${REFUSED_TYPES.S}`);
      if ((longPath !== undefined && pax.has('path')) || (longLink !== undefined && pax.has('linkpath')))
        throw corrupt('an entry with two names');
      size = paxSize(pax.get('size')) ?? size;
      const time = pax.get('mtime');
      if (time !== undefined) mtimeUs = paxTime(time);
    }
    path = longPath ?? pax?.get('path') ?? path;
    linkPath = longLink ?? pax?.get('linkpath') ?? linkPath;
  }
  if (path.length > options.maxPathBytes) throw limit(`a name of ${path.length} bytes (${shown(path)})`);
  if (linkPath.length > options.maxPathBytes)
    throw limit(`a link target of ${linkPath.length} bytes (${shown(path)})`);

  // Beyond that, microseconds are not exact. A time is kept or refused, never changed.
  if (!Number.isSafeInteger(mtimeUs)) throw limit(`a time before 1684 or after 2255 (${shown(path)})`);

  // Before POSIX, a directory was a file whose name ends in a slash.
  if (kind === 'file' && path.endsWith('/')) kind = 'directory';
  if (!Number.isSafeInteger(size) || size < 0) throw corrupt(`an entry of ${size} bytes`);
  if (kind !== 'file' && size > 0) throw refuse(path, `is a ${kind} with content`);
  if (size > options.maxBytes) throw limit(`a file of ${size} bytes (${shown(path)})`, 'CACHE_MAX_BYTES');
  return {
    kind,
    path,
    linkPath,
    mode: header.mode & 0o777,
    size,
    mtimeUs,
    at,
  };
}

/** Global headers may only hold what has no effect here, such as comments and owners. */
function checkGlobal(records: Map<string, string>): void {
  for (const key of records.keys())
    if (['path', 'linkpath', 'size', 'mtime'].includes(key) || key.startsWith('GNU.'))
      throw refuse('pax_global_header', `sets ${JSON.stringify(key)} for all entries`);
}

function decode(tar: Buffer, at: number, checksums: boolean): RawHeader {
  try {
    return decodeHeader(tar, at, checksums);
  } catch (error) {
    throw translated(error);
  }
}

function pax(data: Buffer): Map<string, string> {
  try {
    return decodePax(data);
  } catch (error) {
    throw translated(error);
  }
}

function paxTime(value: string): number {
  try {
    return decodePaxTime(value);
  } catch (error) {
    throw translated(error);
  }
}

function paxSize(value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (!/^\d{1,16}$/.test(value)) throw corrupt('a pax header with a malformed size');
  return Number(value);
}

function translated(error: unknown): unknown {
  return error instanceof RangeError ? corrupt(error.message, error) : error;
}

function untilNul(data: Buffer): string {
  const end = data.indexOf(0);
  return data.toString('latin1', 0, end === -1 ? data.length : end);
}

function isZero(tar: Buffer, at: number): boolean {
  return ZEROS.compare(tar, at, at + BLOCK) === 0;
}

const ZEROS = Buffer.alloc(BLOCK);
