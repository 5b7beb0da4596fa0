import { lstatSync, readdirSync } from 'node:fs';
import { INSIDE } from './places/bays.ts';
import { targetError } from './files/errors.ts';
import type { Layout, Place } from './places/places.ts';
import { childPath, removeTree } from './files/removal.ts';

/**
 * Removes everything in the targets, for an install from nothing. The targets themselves stay, because they
 * may be volumes or the far end of a symlink. Mount points inside them stay too.
 * @throws CacheError TARGET_UNWRITABLE
 */
export async function emptyTargets({ places }: Pick<Layout, 'places'>): Promise<void> {
  for (const place of places) {
    try {
      await empty(place);
    } catch (error) {
      throw targetError(error, `empty ${place.target}`);
    }
  }
}

async function empty({ path, keep }: Place): Promise<void> {
  if (lstatSync(path, { throwIfNoEntry: false })?.isDirectory() !== true) {
    await removeTree(path);
    return;
  }
  // Names are read as bytes, because not every name is UTF-8.
  for (const name of readdirSync(path, 'latin1')) {
    if (name !== INSIDE && !keep.includes(name))
      await removeTree(childPath(path, Buffer.from(name, 'latin1')));
  }
}
