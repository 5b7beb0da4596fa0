/**
 * The one moment in which an entry appears. `link` fails when the name is taken, `rename` replaces what is
 * there.
 */
import { link, lstat, rename, rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from '../../errors.ts';
import type { RemoveOutcome, WriteOptions } from '../store.ts';
import { notRegular } from './errors.ts';
import { makeFolders } from './folder.ts';
import { identityOf, temporaryPath } from './layout.ts';

export interface Publication {
  dir: string;
  /** Path of the complete entry, under its temporary name. */
  temporary: string;
  path: string;
  ifExists: WriteOptions['ifExists'];
}

/**
 * Whether the entry is now ours.
 * @throws CacheError STORE_FAILED when the name is taken by something that is no file
 */
export async function publish({ dir, temporary, path, ifExists }: Publication): Promise<boolean> {
  await makeFolders(dir, dirname(path));
  if (ifExists === 'replace') {
    await rename(temporary, path);
    return true;
  }
  if (ifExists !== 'keep' && (await takeAway(dir, path, ifExists.etag)) === 'another') return false;
  return linkOrRename(temporary, path);
}

/**
 * Removes exactly the file with that identity: nobody can put another in its place between the look and the
 * removal.
 */
export async function takeAway(dir: string, path: string, etag: string): Promise<RemoveOutcome> {
  const aside = temporaryPath(dir);
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'absent';
    throw error;
  }
  if (identityOf(await lstat(aside, { bigint: true })) === etag) {
    await rm(aside);
    return 'removed';
  }
  await linkOrRename(aside, path);
  await rm(aside, { force: true });
  return 'another';
}

async function linkOrRename(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to);
    return true;
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'EEXIST' && (code === undefined || !NO_LINKS.has(code))) throw error;
  }
  if (await isTaken(to)) return false;
  // No hard links here (SMB, some FUSE mounts). The last of two writers at the same moment wins; what it
  // wrote restores.
  await rename(from, to);
  return true;
}

const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

async function isTaken(path: string): Promise<boolean> {
  const found = await lstat(path).catch(() => undefined);
  // No entry could ever be read from there, but every save would believe that there is one.
  if (found?.isFile() === false) throw notRegular(path);
  return found !== undefined;
}
