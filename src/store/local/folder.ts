/**
 * The folders that a store makes below the directory it was given. Others may share that directory. A
 * symbolic link in the place of one of these folders would lead every write and every deletion elsewhere, so
 * each folder is looked at before it is used.
 */
import { mkdirSync, type Stats } from 'node:fs';
import { lstat, mkdir, stat } from 'node:fs/promises';
import { dirname, join, relative, sep } from 'node:path';
import { CacheError, systemCode } from '../../errors.ts';

const FOLDER_MODE = 0o755;
const FILE_MODE = 0o644;
const STICKY = 0o1000;
const OTHERS_WRITE = 0o002;
const GROUP_WRITES = 0o020;

/**
 * Makes a folder of the store, and those between it and `dir`. They may be written by whoever may write in
 * `dir`: a directory for a group (`chmod g+ws`) or for everybody (`chmod 1777`) stays one.
 * @throws CacheError STORE_FAILED when something else is in the place of one; system errors
 */
export async function makeFolders(dir: string, folder: string): Promise<void> {
  await makeFolder(dir);
  const stats = await stat(dir);
  for (const path of foldersBetween(dir, folder)) {
    if (await isUsable(path, { dir, stats })) continue;
    makeForAll(path, FOLDER_MODE | (stats.mode & (STICKY | GROUP_WRITES | OTHERS_WRITE)));
    await isUsable(path, { dir, stats });
  }
}

/**
 * Whether a folder of the store and those between it and `dir` are there.
 * @throws CacheError STORE_FAILED when something else is in the place of one; system errors
 */
export async function hasFolders(dir: string, folder: string): Promise<boolean> {
  const stats = await statOrNothing(dir);
  if (stats === undefined) return false;
  for (const path of foldersBetween(dir, folder)) if (!(await isUsable(path, { dir, stats }))) return false;
  return true;
}

/** The directory that the store was given. */
interface Given {
  dir: string;
  stats: Stats;
}

/** Modes of new files. Only sidecars are ever written to again: to mark an entry as used. */
export async function fileModes(dir: string): Promise<{ entry: number; sidecar: number }> {
  const { mode } = await stat(dir);
  const shared = (mode & STICKY) === 0 ? mode & (GROUP_WRITES | OTHERS_WRITE) : 0;
  return { entry: FILE_MODE, sidecar: FILE_MODE | shared };
}

/**
 * Makes a folder and those above it. Not by `mkdir` with `recursive`: where the system says ENOENT of a
 * folder whose parent is there, as /proc does, that never ends (Node 20.20).
 */
export async function makeFolder(path: string): Promise<void> {
  try {
    await mkdir(path, { mode: FOLDER_MODE });
  } catch (error) {
    if (await isFolder(path)) return;
    const parent = dirname(path);
    if (systemCode(error) !== 'ENOENT' || parent === path) throw error;
    await makeFolder(parent);
    // Once: others may make it at the same moment, but nobody takes it away again.
    await mkdir(path, { mode: FOLDER_MODE }).catch(async (again: unknown) => {
      if (!(await isFolder(path))) throw again;
    });
  }
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

/** `/store`, `/store/a/b` → `/store/a`, `/store/a/b` */
function foldersBetween(dir: string, folder: string): string[] {
  const names = relative(dir, folder).split(sep);
  return names[0] === '' ? [] : names.map((_, n) => join(dir, ...names.slice(0, n + 1)));
}

async function isUsable(path: string, { dir, stats }: Given): Promise<boolean> {
  const found = await statOrNothing(path, lstat);
  if (found === undefined) return false;
  const wrong = found.isSymbolicLink()
    ? 'is a symbolic link'
    : !found.isDirectory()
      ? 'is not a folder'
      : mayOwn(found, stats)
        ? undefined
        : `belongs to user ${found.uid}`;
  if (wrong === undefined) return true;
  throw new CacheError('STORE_FAILED', `${path} ${wrong}: nothing is read or written there`, {
    hint: `Remove it: sandbox-cache makes its folders in CACHE_LOCAL_DIR (${dir}) by itself.`,
  });
}

/** This user, root, the directory's owner, and whoever may make folders in it. */
function mayOwn({ uid, gid }: Stats, given: Stats): boolean {
  const self = process.geteuid?.() ?? uid;
  if ([self, 0, given.uid].includes(uid) || (given.mode & OTHERS_WRITE) !== 0) return true;
  return (given.mode & GROUP_WRITES) !== 0 && gid === given.gid;
}

/** With exactly this mode. A `chmod` afterwards would follow a link that somebody has put there meanwhile. */
function makeForAll(path: string, mode: number): void {
  // Nothing else runs between the two: mkdirSync does not yield.
  const umask = process.umask(0);
  try {
    mkdirSync(path, { mode });
  } catch (error) {
    // Another writer was faster.
    if (systemCode(error) !== 'EEXIST') throw error;
  } finally {
    process.umask(umask);
  }
}

async function statOrNothing(
  path: string,
  look: (path: string) => Promise<Stats> = stat,
): Promise<Stats | undefined> {
  try {
    return await look(path);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return undefined;
    throw error;
  }
}
