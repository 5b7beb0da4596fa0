import { reasonOf } from './errors.ts';
import { removeTree } from './removal.ts';
import type { StagingOptions } from '../types.ts';

export interface Clearing {
  onWarning: StagingOptions['onWarning'];
  /** See `removeTree`. */
  isLate?: () => boolean;
}

/**
 * Removes an old tree, or what a dead run has left. Immutable files and files of another user stay. That is
 * only worth a warning, because no later restore needs their names.
 * @returns false if `isLate` stopped it before everything was removed
 */
export async function clearTree(path: string, { onWarning, isLate }: Clearing): Promise<boolean> {
  try {
    return await removeTree(path, isLate);
  } catch (error) {
    onWarning?.(
      `${path} could not be removed: ${reasonOf(error)}`,
      'It disturbs nothing. Remove it as root, or as the user that owns what is in it (after chattr -i, if it is immutable).',
    );
    return true;
  }
}
