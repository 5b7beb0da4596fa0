/** Which file is which in a store's directory. */
import { randomUUID } from 'node:crypto';
import type { BigIntStats } from 'node:fs';
import { join } from 'node:path';

/** Holds everything that is no entry. No entry gets in here: a dot at the beginning of a name is escaped. */
export const OWN_FOLDER = '.sandbox-cache';

/** Names of temporary files: what `randomUUID` returns. */
export const TEMPORARY_NAME = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Names of sidecars; the group is the ETag. */
export const SIDECAR_NAME = /^([0-9a-z]+-[0-9a-z]+-[0-9a-z]+)\.json$/;

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

/**
 * `cache/bundle-3f1c….tar.gz` → `<dir>/cache/bundle-3f1c….tar.gz`. Nothing in a key leads out of the
 * directory.
 */
export function entryPath(dir: string, key: string): string {
  return join(dir, ...key.split('/').map(escapeSegment));
}

/** The key of a path below `dir`, or undefined when no key has exactly that path. */
export function keyOf(segments: readonly string[]): string | undefined {
  try {
    const names = segments.map((segment) => (segment === '%' ? '' : decodeURIComponent(segment)));
    return names.every((name, n) => escapeSegment(name) === segments[n]) ? names.join('/') : undefined;
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
