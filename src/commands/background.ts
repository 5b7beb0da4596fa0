import { CacheError } from '../errors.ts';
import type { Recipe } from '../recipes/recipe.ts';
import type { OutcomeDetail } from './outcome.ts';
import { findInstalled } from './save.ts';
import type { Session } from './session.ts';

/**
 * Starts another process that saves, and leaves it: `save --background`. It has no output, since whoever reads ours may
 * wait for it to end. What it did shows in `list`, and in the next `save`; that there is nothing to save is told here.
 * @param argv the command line of that process
 */
export async function saveInBackground(
  session: Session,
  recipe: Recipe,
  argv: readonly string[],
): Promise<OutcomeDetail> {
  const found = await findInstalled(session, recipe);
  if (found.type !== 'installed') return found;
  // Loaded here: it would cost every start a few milliseconds.
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, [process.argv[1]!, ...argv], { detached: true, stdio: 'ignore' });
  const pid = await new Promise<number>((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid!));
    child.once('error', (cause) => {
      const hint = 'Save without --background.';
      reject(
        new CacheError('INTERNAL', `No process to save ${recipe.name} could be started`, { hint, cause }),
      );
    });
  });
  child.unref();
  return { type: 'started', pid };
}
