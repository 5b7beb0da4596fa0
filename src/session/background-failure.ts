import type { Recipe } from '../recipes/support/recipe.ts';
import { takeBackgroundFailure } from '../workspace/notes/background-report.ts';
import type { Session } from './session.ts';

/** Reports once that the last save in the background failed. */
export function tellOfBackgroundFailure({ config, emit }: Session, recipe: Recipe): void {
  const failure = takeBackgroundFailure(config.projectDir, recipe.name);
  if (failure === undefined) return;
  emit({
    type: 'warning',
    message: `The last save --background of ${recipe.name} failed: ${failure}`,
    hint: 'Save without --background to see it fail.',
  });
}
