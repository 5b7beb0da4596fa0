import type { Command } from 'commander';

/** The flags that describe a recipe that is not built in; see `RecipeFlags`. */
export function recipeOptions(command: Command): Command {
  return command
    .option('--lockfile <file>', 'a lockfile of a recipe that is not built in (repeatable)', collect)
    .option('--path <dir>', 'a directory or a file to keep for it (repeatable)', collect);
}

/** The values of a flag that may come several times. */
export function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}
