/**
 * Finds entries below a store's directory. What no key names, and folders that may not be read, are passed
 * over.
 */
import type { BigIntStats, Dirent } from 'node:fs';
import { lstat, readdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { systemCode } from '../../errors.ts';
import type { EntryInfo } from '../store.ts';
import { hasFolders } from './folder.ts';
import { entryPath, identityOf, keyOf, OWN_FOLDER } from './layout.ts';

/**
 * All entries whose key begins with `prefix`, in no particular order; those that vanish meanwhile are left
 * out. Looks only where such keys lie: the directory may hold much that is not ours.
 */
export async function* listEntries(dir: string, prefix: string): AsyncGenerator<EntryInfo> {
  const folders = prefix.split('/').slice(0, -1).join('/');
  const segments = folders === '' ? [] : entryPath('/', folders).split('/').slice(1);
  const folder = join(dir, ...segments);
  if (!(await hasFolders(dir, folder))) return;
  for await (const entry of walk(dir, segments, await readdir(folder, { withFileTypes: true })))
    if (entry.key.startsWith(prefix)) yield entry;
}

async function* walk(dir: string, segments: string[], children: Dirent[]): AsyncGenerator<EntryInfo> {
  for (const child of children) {
    if (segments.length === 0 && child.name === OWN_FOLDER) continue;
    const names = [...segments, child.name];
    const path = join(dir, ...names);
    // By its own type: a symbolic link is neither.
    if (child.isDirectory()) {
      yield* walk(dir, names, await readFolder(path));
    } else if (child.isFile()) {
      const key = keyOf(names);
      const stats = await lstat(path, { bigint: true }).catch(() => undefined);
      if (key !== undefined && stats?.isFile() === true) yield infoOf(key, stats);
    }
  }
}

const UNREADABLE = new Set(['ENOENT', 'ENOTDIR', 'EACCES', 'EPERM']);

async function readFolder(path: string): Promise<Dirent[]> {
  try {
    return await readdir(path, { withFileTypes: true });
  } catch (error) {
    if (UNREADABLE.has(systemCode(error) ?? '')) return [];
    throw error;
  }
}

/** What is under an entry's name, if anything. @throws CacheError STORE_FAILED; system errors */
export async function lookAtEntry(dir: string, key: string): Promise<BigIntStats | undefined> {
  const path = entryPath(dir, key);
  try {
    return (await hasFolders(dir, dirname(path))) ? await lstat(path, { bigint: true }) : undefined;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}

export function infoOf(key: string, stats: BigIntStats): EntryInfo {
  const modified = new Date(Number(stats.mtimeMs));
  return { key, size: Number(stats.size), modified, etag: identityOf(stats) };
}
