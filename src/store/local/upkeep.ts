/**
 * Keeps a store's directory within its size, and free of what dead writers left. The directory may hold files
 * of others, so it is never searched: each sidecar names one entry, and what no sidecar names is neither
 * counted nor deleted.
 */
import { lstat, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../errors.ts';
import {
  entryPath,
  identityOf,
  SIDECAR_NAME,
  sidecarFolder,
  sidecarPath,
  TEMPORARY_NAME,
  temporaryFolder,
} from './layout.ts';
import { lookAtEntry } from './list.ts';
import { takeAway } from './publish.ts';
import { readSidecar, type Sidecar } from './sidecar.ts';

/** A live writer writes far more often than this. A killed one never writes again. */
const STALE_MS = 60 * 60 * 1000;
/** What `stat` counts blocks in, whatever the file system's own are. */
const BLOCK_BYTES = 512;

export interface Upkeep {
  dir: string;
  maxSizeBytes: number;
  /** The key just written, which stays. */
  kept: string;
  /** By the file system's clock, milliseconds. The clocks of those who share a directory may differ. */
  now: number;
}

export interface Tidied {
  /** Keys of entries that were deleted. */
  deleted: string[];
  /** Bytes of entries that should go and that this user may not delete. */
  stuckBytes: number;
}

export async function tidy(upkeep: Upkeep): Promise<Tidied> {
  const entries = await survey(upkeep);
  await clearTemporary(upkeep);
  return evict(entries, upkeep);
}

interface OwnEntry {
  key: string;
  etag: string;
  /** As allocated on the disk. */
  bytes: number;
  usedMs: number;
}

/** Every entry that we wrote. Removes the sidecars of those that are gone. */
async function survey({ dir, now }: Upkeep): Promise<OwnEntry[]> {
  const entries: OwnEntry[] = [];
  for (const name of await readdir(sidecarFolder(dir))) {
    const etag = SIDECAR_NAME.exec(name)?.[1];
    const sidecar = etag === undefined ? undefined : readSidecar(dir, etag);
    if (etag === undefined || sidecar === undefined) continue;
    const { key, usedMs, changedMs } = sidecar;
    const bytes = key === undefined ? undefined : await allocatedTo(dir, etag, { ...sidecar, key });
    if (key !== undefined && bytes !== undefined) entries.push({ key, etag, bytes, usedMs });
    // A younger sidecar may belong to an entry that is about to appear.
    else if (now - changedMs > STALE_MS) await removeIfAllowed(sidecarPath(dir, etag));
  }
  return entries;
}

/** The size of the very file that the sidecar was written for; undefined when that is gone. */
async function allocatedTo(
  dir: string,
  etag: string,
  { key, uid }: Sidecar & { key: string },
): Promise<number | undefined> {
  const stats = await lookAtEntry(dir, key).catch(() => undefined);
  // A sidecar that somebody else wrote may name any file.
  if (stats?.isFile() !== true || stats.uid !== uid || identityOf(stats) !== etag) return undefined;
  return Number(stats.blocks) * BLOCK_BYTES;
}

async function clearTemporary({ dir, now }: Upkeep): Promise<void> {
  for (const name of await readdir(temporaryFolder(dir))) {
    const path = join(temporaryFolder(dir), name);
    const stats = TEMPORARY_NAME.test(name) ? await lstat(path).catch(() => undefined) : undefined;
    // The change time: an old entry that is being moved aside keeps its modification time.
    if (stats?.isFile() === true && now - stats.ctimeMs > STALE_MS) await removeIfAllowed(path);
  }
}

/** Deletes what was used longest ago until the rest fits. */
async function evict(entries: OwnEntry[], { dir, maxSizeBytes, kept }: Upkeep): Promise<Tidied> {
  let total = entries.reduce((sum, { bytes }) => sum + bytes, 0);
  const deleted: string[] = [];
  let stuckBytes = 0;
  for (const { key, etag, bytes } of entries.sort((a, b) => a.usedMs - b.usedMs)) {
    if (total <= maxSizeBytes) break;
    if (key === kept) continue;
    const outcome = await ifAllowed(() => takeAway(dir, entryPath(dir, key), etag));
    if (outcome === 'not allowed') {
      stuckBytes += bytes;
      continue;
    }
    await removeIfAllowed(sidecarPath(dir, etag));
    total -= bytes;
    if (outcome === 'removed') deleted.push(key);
  }
  return { deleted, stuckBytes };
}

async function removeIfAllowed(path: string): Promise<void> {
  await ifAllowed(() => rm(path, { force: true }));
}

/** In a directory with the sticky bit, users can delete only their own files. */
async function ifAllowed<T>(work: () => Promise<T>): Promise<T | 'not allowed'> {
  try {
    return await work();
  } catch (error) {
    if (['EPERM', 'EACCES'].includes(systemCode(error) ?? '')) return 'not allowed';
    throw error;
  }
}
