/**
 * Everything that can be completed on our command line. It is read from the commander program, so that there
 * is no second list.
 */
import type { Argument, Command, Option } from 'commander';

export interface CommandLine {
  program: string;
  /** Valid before and after the name of a command. */
  options: OptionWords[];
  commands: CommandWords[];
}

export interface CommandWords {
  name: string;
  description: string;
  /** Its own, without those of the program. */
  options: OptionWords[];
  arguments: ArgumentWords[];
}

export interface OptionWords {
  /** `-C`, `--project` */
  names: string[];
  description: string;
  /** What kind of value it takes; undefined if it takes none. */
  value: 'directory' | 'file' | 'text' | undefined;
}

export interface ArgumentWords {
  name: string;
  /** It may come several times. */
  variadic: boolean;
  /** Values to offer; none if any text is allowed. */
  words: readonly string[];
  /** Whether the project's own recipes are allowed too: see `project-recipes.ts`. */
  isRecipe: boolean;
  /** Whether it is the command line of another program. */
  isCommand: boolean;
}

/** Of the program and of all commands. */
export function allOptions({ options, commands }: CommandLine): OptionWords[] {
  return [options, ...commands.map((command) => command.options)].flat();
}

/** The words to offer for any argument of the command. */
export function argumentValues(command: CommandWords): string {
  return [...new Set(command.arguments.flatMap(({ words }) => words))].join(' ');
}

/** Whether one of the project's own recipes may be its argument. */
export function takesRecipes(command: CommandWords): boolean {
  return command.arguments.some(({ isRecipe }) => isRecipe);
}

/** @param program with all commands @param recipes names to offer wherever a recipe may stand */
export function commandLineOf(program: Command, recipes: readonly string[]): CommandLine {
  const help = program.createHelp();
  const options = help.visibleOptions(program).map(optionWords);
  const known = new Set(options.flatMap(({ names }) => names));
  const commands = help.visibleCommands(program).map((command): CommandWords => ({
    name: command.name(),
    description: command.description(),
    options: help
      .visibleOptions(command)
      .map(optionWords)
      .filter(({ names }) => !names.every((name) => known.has(name))),
    arguments: command.registeredArguments.map((argument) => argumentWords(argument, recipes)),
  }));
  const names = commands.map(({ name }) => name);
  // The argument of `help` is one of the other commands.
  for (const {
    name,
    arguments: [first],
  } of commands) {
    if (name === 'help' && first !== undefined) first.words = names.filter((other) => other !== 'help');
  }
  return { program: program.name(), options, commands };
}

function optionWords({ short, long, description, required, optional, flags }: Option): OptionWords {
  const kind = { '<dir>': 'directory', '<file>': 'file' } as const;
  const shown = /[<[].*$/.exec(flags)?.[0] ?? '';
  return {
    names: [short, long].filter((name) => name !== undefined),
    description,
    value: required || optional ? (kind[shown as keyof typeof kind] ?? 'text') : undefined,
  };
}

function argumentWords(argument: Argument, recipes: readonly string[]): ArgumentWords {
  const name = argument.name();
  const isRecipe = /\brecipe\b/.test(name);
  return {
    name,
    variadic: argument.variadic,
    words: argument.argChoices ?? (isRecipe ? recipes : []),
    isRecipe,
    isCommand: name === 'command' && argument.variadic,
  };
}
