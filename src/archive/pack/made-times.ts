/**
 * Makes times for trees whose own times mean nothing. Installers give files the time of the install, so two
 * installs of one lockfile would have no member in common. A *made time* follows from what a file holds. So
 * equal files have equal times, and a file that differs has another one even where its size is the same:
 * servers and caches tell files apart by time and size. Directories and links all have the time where the
 * range begins, so no directory is newer than a file.
 */
import { crc32 } from 'node:zlib';
import { TYPE_FILE } from '../format/tar-header.ts';
import type { SourceEntry } from '../workers/protocol.ts';

/** 1985-10-26T08:15:00Z, which npm gives the files of its tarballs. Late enough for zip files, in seconds. */
const FIRST = 499_162_500;
/** Eight and a half years, in seconds: validators of HTTP have no smaller unit. */
const RANGE = 2 ** 28;
/** Bytes at either end of a large file. */
export const SAMPLE_LENGTH = 64 * 1024;

/**
 * Replaces the entries' own times, except those of some paths. The time of a file is made where it is read,
 * with `madeTime` or `madeTimeOfLarge`.
 * @param except paths in the archive, binary strings
 */
export function* withMadeTimes(
  entries: Iterable<SourceEntry>,
  except: readonly string[],
): Generator<SourceEntry> {
  const kept = new Set(except);
  for (const entry of entries) {
    const { path, type } = entry;
    if (!kept.has(path.endsWith('/') ? path.slice(0, -1) : path)) {
      entry.mtimeUs = FIRST * 1e6;
      entry.hasMadeTime = type === TYPE_FILE;
    }
    yield entry;
  }
}

/** The time of a file with this content, in microseconds since 1970. */
export function madeTime(content: Uint8Array): number {
  return (FIRST + (crc32(content) % RANGE)) * 1e6;
}

/**
 * The same for a file that several workers read in pieces. The time is made from its size, its beginning and
 * its end.
 * @param sample its first and its last `SAMPLE_LENGTH` bytes
 */
export function madeTimeOfLarge(sample: Uint8Array, size: number): number {
  return (FIRST + (crc32(sample, crc32(String(size))) % RANGE)) * 1e6;
}
