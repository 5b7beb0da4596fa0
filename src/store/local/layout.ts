/** Which file is which in a store's directory. */
import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';

/** Everything that is no entry. Entries cannot get in here: a dot at the beginning of a name is escaped. */
export const OWN_FOLDER = '.sandbox-cache';

/** Explicit, because archive workers run with umask 0. */
export const FILE_MODE = 0o644;
export const FOLDER_MODE = 0o755;

export function temporaryFolder(dir: string): string {
  return join(dir, OWN_FOLDER, 'temporary');
}

export function temporaryPath(dir: string): string {
  return join(temporaryFolder(dir), randomUUID());
}

export function sidecarFolder(dir: string): string {
  return join(dir, OWN_FOLDER, 'entries');
}

/** What travels with the entry of that ETag. */
export function sidecarPath(dir: string, etag: string): string {
  return join(sidecarFolder(dir), `${etag}.json`);
}

/** `cache/bundle-3f1c….tar.gz` → `<dir>/cache/bundle-3f1c….tar.gz`. Nothing in a key leads out of the directory. */
export function entryPath(dir: string, key: string): string {
  return join(dir, ...key.split('/').map(escapeSegment));
}

/** The key of a path below `dir`, or undefined when no key has that path. */
export function keyOf(segments: readonly string[]): string | undefined {
  try {
    return segments.map((segment) => (segment === '%' ? '' : decodeURIComponent(segment))).join('/');
  } catch {
    return undefined;
  }
}

function escapeSegment(segment: string): string {
  if (segment === '') return '%';
  return encodeURIComponent(segment)
    .replace(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replace(/^\./, '%2E');
}

/** An ETag: two files that were ever under one name never share it. */
export function identityOf({ ino, size, mtimeNs }: BigIntStats): string {
  return [ino, size, mtimeNs].map((part) => part.toString(36)).join('-');
}
