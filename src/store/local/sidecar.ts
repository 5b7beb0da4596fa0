/**
 * The metadata of an entry: a small file, named by the entry's ETag. It also holds the key of the entry, and
 * so shows that a file is an entry of ours. Its modification time is the time of last use.
 */
import { open, rm } from 'node:fs/promises';
import { constants } from 'node:fs';
import { readSmallFile } from '../../files/read-small-file.ts';
import { sidecarPath } from './layout.ts';

export interface Sidecar {
  /** Undefined if the sidecar is damaged. */
  key: string | undefined;
  metadata: Record<string, string>;
  /** Its owner. */
  uid: bigint;
  /** By the file system's clock, milliseconds. */
  usedMs: number;
  /** Its change time, which nobody can set. Milliseconds. */
  changedMs: number;
}

/** The key in the metadata. Callers do not get it. */
const KEY = 'entry-key';
const MAX_BYTES = 64 * 1024;

export interface NewSidecar {
  key: string;
  metadata: Readonly<Record<string, string>>;
  mode: number;
}

/** @returns the time by the file system's clock, milliseconds */
export async function writeSidecar(
  dir: string,
  etag: string,
  { key, metadata, mode }: NewSidecar,
): Promise<number> {
  const path = sidecarPath(dir, etag);
  const file = await open(path, 'wx', mode);
  try {
    await file.chmod(mode).catch(() => {});
    await file.writeFile(JSON.stringify({ ...metadata, [KEY]: key }));
    return (await file.stat()).mtimeMs;
  } catch (error) {
    await rm(path, { force: true });
    throw error;
  } finally {
    await file.close();
  }
}

/** @returns undefined if there is none that can be read */
export function readSidecar(dir: string, etag: string): Sidecar | undefined {
  try {
    const { bytes, stat } = readSmallFile(sidecarPath(dir, etag), {
      maxBytes: MAX_BYTES,
      followLinks: false,
    });
    const { [KEY]: key, ...metadata } = parse(bytes.toString('utf8'));
    return { key, metadata, uid: stat.uid, usedMs: Number(stat.mtimeMs), changedMs: Number(stat.ctimeMs) };
  } catch {
    return undefined;
  }
}

function parse(text: string): Record<string, string> {
  try {
    const pairs = Object.entries((JSON.parse(text) ?? {}) as Record<string, unknown>);
    return Object.fromEntries(pairs.filter((pair): pair is [string, string] => typeof pair[1] === 'string'));
  } catch {
    return {};
  }
}

/**
 * Marks the entry as used now. If that is impossible, as in a read-only directory, the entry is used all the
 * same.
 */
export async function markUsed(dir: string, etag: string): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const file = await open(sidecarPath(dir, etag), flags).catch(() => undefined);
  // Writes the same byte again, so that the file system sets the time by its own clock. Only the owner could
  // set a time of ours.
  await file?.write('{', 0).catch(() => {});
  await file?.close();
}
