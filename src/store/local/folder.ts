import { mkdir, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { systemCode } from '../../errors.ts';
import { FOLDER_MODE } from './layout.ts';

/**
 * Makes a folder and those above it. Not by `mkdir` with `recursive`: where the system says ENOENT of a folder whose parent is
 * there, as /proc does, that never ends (Node 20.20).
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
