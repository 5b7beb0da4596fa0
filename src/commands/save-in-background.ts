import { closeSync } from 'node:fs';
import { CacheError } from '../errors.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import { openBackgroundReport } from '../workspace/notes/background-report.ts';
import { tellOfBackgroundFailure } from '../session/background-failure.ts';
import type { OutcomeDetail } from '../session/outcome.ts';
import { findInstalled } from './save.ts';
import type { Session } from '../session/session.ts';

/**
 * Starts another process that saves, and leaves it: `save --background`. It does not write to our output,
 * since whoever reads that may wait for it to end. If there is nothing to save, this run reports it. If the
 * save fails, the next run reports it.
 * @param argv the command line of that process
 */
export async function saveInBackground(
  session: Session,
  recipe: Recipe,
  argv: readonly string[],
): Promise<OutcomeDetail> {
  const found = await findInstalled(session, recipe);
  if (found.type !== 'installed') return found;
  // Loaded only here, because it would cost every start a few milliseconds.
  const { spawn } = await import('node:child_process');
  tellOfBackgroundFailure(session, recipe);
  const report = openBackgroundReport(session.config.projectDir, recipe.name);
  const child = spawn(process.execPath, [process.argv[1]!, ...argv, '--json'], {
    detached: true,
    stdio: ['ignore', report, 'ignore'],
  });
  closeSync(report);
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
