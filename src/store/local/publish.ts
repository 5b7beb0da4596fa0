/** The one moment in which an entry appears. `link` fails when the name is taken, `rename` replaces what is there. */
import { link, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from '../../errors.ts';
import type { RemoveOutcome, WriteOptions } from '../store.ts';
import { makeFolder } from './folder.ts';
import { identityOf, temporaryPath } from './layout.ts';

export interface Publication {
  dir: string;
  /** The complete entry, under its temporary name. */
  temporary: string;
  path: string;
  ifExists: WriteOptions['ifExists'];
}

/** Whether the entry is now ours. */
export async function publish({ dir, temporary, path, ifExists }: Publication): Promise<boolean> {
  await makeFolder(dirname(path));
  if (ifExists === 'replace') {
    await rename(temporary, path);
    return true;
  }
  if (ifExists !== 'keep' && (await takeAway(dir, path, ifExists.etag)) === 'another') return false;
  return linkOrRename(temporary, path);
}

/** Removes exactly the file with that identity: nobody can put another in its place between the look and the removal. */
export async function takeAway(dir: string, path: string, etag: string): Promise<RemoveOutcome> {
  const aside = temporaryPath(dir);
  try {
    await rename(path, aside);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return 'absent';
    throw error;
  }
  if (identityOf(await stat(aside, { bigint: true })) === etag) {
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
    if (code === 'EEXIST') return false;
    if (code === undefined || !NO_LINKS.has(code)) throw error;
  }
  // No hard links here (SMB, some FUSE mounts). The last of two writers at the same moment wins; what it wrote restores.
  if (await exists(to)) return false;
  await rename(from, to);
  return true;
}

const NO_LINKS = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK']);

async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
