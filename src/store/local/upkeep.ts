/** Keeps a store's directory within its size, and free of what dead writers left. */
import type { BigIntStats } from 'node:fs';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { identityOf, keyOf, OWN_FOLDER, sidecarFolder, sidecarPath, temporaryFolder } from './layout.ts';

/** A writer that lives writes far more often; one that was killed never again. */
const STALE_MS = 60 * 60 * 1000;

export interface StoredFile {
  key: string;
  path: string;
  etag: string;
  size: number;
  modified: Date;
}

/** All entries below a directory, in no particular order; those that vanish meanwhile are left out. */
export async function* listFiles(dir: string, segments: readonly string[] = []): AsyncGenerator<StoredFile> {
  for (const entry of await readFolder(join(dir, ...segments))) {
    if (segments.length === 0 && entry.name === OWN_FOLDER) continue;
    const inner = [...segments, entry.name];
    if (entry.isDirectory()) {
      yield* listFiles(dir, inner);
    } else if (entry.isFile()) {
      const key = keyOf(inner);
      const path = join(dir, ...inner);
      const stats = await statOrNothing(path);
      if (key === undefined || stats === undefined) continue;
      yield {
        key,
        path,
        etag: identityOf(stats),
        size: Number(stats.size),
        modified: new Date(Number(stats.mtimeMs)),
      };
    }
  }
}

/** Deletes what was used longest ago until the rest fits, but never the entry `kept`. Returns the keys deleted. */
export async function evict(dir: string, maxSizeBytes: number, kept: string): Promise<string[]> {
  const files: (StoredFile & { used: number })[] = [];
  for await (const file of listFiles(dir)) {
    const sidecar = await statOrNothing(sidecarPath(dir, file.etag));
    files.push({ ...file, used: Number(sidecar?.mtimeMs ?? file.modified.getTime()) });
  }
  let total = files.reduce((sum, { size }) => sum + size, 0);
  const deleted: string[] = [];
  for (const file of files.sort((a, b) => a.used - b.used)) {
    if (total <= maxSizeBytes) break;
    if (file.key === kept) continue;
    await rm(file.path, { force: true });
    await rm(sidecarPath(dir, file.etag), { force: true });
    total -= file.size;
    deleted.push(file.key);
  }
  return deleted;
}

/** Removes temporary files of writers that died, and what belonged to entries that are gone. */
export async function clearStale(dir: string, now = Date.now()): Promise<void> {
  const present = new Set<string>();
  for await (const { etag } of listFiles(dir)) present.add(`${etag}.json`);
  for (const [folder, isKept] of [
    [temporaryFolder(dir), () => false],
    [sidecarFolder(dir), (name: string) => present.has(name)],
  ] as const) {
    for (const { name } of await readFolder(folder)) {
      if (isKept(name)) continue;
      const stats = await statOrNothing(join(folder, name));
      if (stats !== undefined && now - Number(stats.mtimeMs) > STALE_MS)
        await rm(join(folder, name), { force: true });
    }
  }
}

async function readFolder(path: string) {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

async function statOrNothing(path: string): Promise<BigIntStats | undefined> {
  try {
    return await stat(path, { bigint: true });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
