import { PROJECT_FILE } from '../recipes/custom/project-file.ts';

/**
 * Prints the names of the project's own recipes, one a line. Only the completion scripts call it, so no help
 * lists it.
 */
export const RECIPES_COMMAND = 'project-recipes';

/** A command for any of the shells. It starts nothing if there is no such file, so that Tab does not wait. */
export function printsProjectRecipes(program: string): string {
  return `test -f ${PROJECT_FILE} && command ${program} ${RECIPES_COMMAND} 2>/dev/null`;
}
