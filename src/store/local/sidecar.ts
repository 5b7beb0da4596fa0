/**
 * What travels with an entry: a small file beside the entries, named by the entry's ETag. It also says which
 * key the entry was written under. So it shows that a file is an entry of ours, and its own time is the time
 * of last use.
 */
import { open, rm } from 'node:fs/promises';
import { constants } from 'node:fs';
import { readSmallFile } from '../../files/read-small-file.ts';
import { sidecarPath } from './layout.ts';

export interface Sidecar {
  /** Undefined in one that is damaged. */
  key: string | undefined;
  metadata: Record<string, string>;
  /** Its owner. */
  uid: bigint;
  /** By the file system's clock, milliseconds. */
  usedMs: number;
  /** When anything about it last changed; nobody can set it. Milliseconds. */
  changedMs: number;
}

/** Among what travels with the entry; never shown to callers. */
const KEY = 'entry-key';
const MAX_BYTES = 64 * 1024;

export interface NewSidecar {
  key: string;
  metadata: Readonly<Record<string, string>>;
  mode: number;
}

/** @returns what the file system's clock shows now, milliseconds */
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

/** @returns undefined when there is none, or none that may be read */
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
 * Marks the entry as used now. What cannot be marked, in a directory mounted read-only, is served all the
 * same.
 */
export async function markUsed(dir: string, etag: string): Promise<void> {
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW;
  const file = await open(sidecarPath(dir, etag), flags).catch(() => undefined);
  // Writing what is there already lets the file system set the time, by its own clock. Only the owner may set
  // one of ours.
  await file?.write('{', 0).catch(() => {});
  await file?.close();
}
