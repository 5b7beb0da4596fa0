/**
 * The commander program: names, flags and help. The commands themselves are in `../commands/`. They load
 * large parts (the SDK, the archive, the staging) only when they need them.
 */
import { Command } from 'commander';
import { addEntries } from './entry-commands.ts';
import { examples, HELP_LAYOUT } from './help-text.ts';
import { RECIPES_COMMAND } from '../completion/project-recipes.ts';
import { addConfig, addDoctor } from './doctor-commands.ts';
import { addCompletion, addHelp, addKeygen, addProjectRecipes } from './other-commands.ts';
import { addPolicy } from './policy-command.ts';
import { addSetup } from './setup-command.ts';
import { addEnsure, addKey, addRestore, addSave, addWarm } from './recipe-commands.ts';
import { addTicket } from './ticket-command.ts';
import type { Examine, Given, GlobalFlags, Outputs, Perform, RunAction } from './types.ts';

declare const SANDBOX_CACHE_VERSION: string;

/** How a command is run once its name and its flags are known. */
export interface Runners {
  perform: Perform;
  examine: Examine;
}

/** @param argv the arguments, which decide which commands are needed */
export function createProgram(
  argv: readonly string[],
  outputs: Outputs,
  { perform, examine }: Runners,
): Command {
  const { stdout, stderr } = outputs;
  const program = new Command('sandbox-cache')
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      // `cli.ts` reports this error, like all others.
      outputError: () => {},
    })
    .description(
      'Keeps vendor/bundle and node_modules in S3, named by their lockfiles, and brings them back in seconds.',
    )
    .version(SANDBOX_CACHE_VERSION, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'show this help')
    .option('-C, --project <dir>', 'the project directory (default: the current one)')
    .option('-v, --verbose', 'a [cache] line on stderr for each step (CACHE_VERBOSE)')
    .option('-q, --quiet', 'no result lines on stdout')
    .option('--json', 'one JSON document on stdout')
    .configureHelp(HELP_LAYOUT)
    // For an unknown name, commander's own help command prints the whole help and says nothing about the
    // name.
    .helpCommand(false)
    .exitOverride()
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache ensure npm', 'restore, or else install and save'],
        ['sandbox-cache ensure', 'the same for every lockfile that is found'],
        ['sandbox-cache key --explain', 'what the keys are made of'],
      ]) +
        '\nSettings come from the environment and from .env.claude-sandbox:\nCACHE_S3_BUCKET first of all.\n',
    );

  const flagsOf = (command: Command): GlobalFlags => ({
    ...command.optsWithGlobals<GlobalFlags>(),
    command: command.name(),
  });
  const run: RunAction = (command, action) => perform(flagsOf(command), action);
  const given: Given = {
    argv,
    outputs,
    examine: (command, examination) => examine(flagsOf(command), examination),
    whole: () => createProgram(['help'], outputs, { perform, examine }),
  };
  for (const { add } of commandsFor(argv)) add(program, run, given);
  return program;
}

const COMMANDS: readonly {
  names: string[];
  add: (program: Command, run: RunAction, given: Given) => void;
}[] = [
  { names: ['restore'], add: addRestore },
  { names: ['save'], add: addSave },
  { names: ['ensure'], add: addEnsure },
  { names: ['warm'], add: addWarm },
  { names: ['key'], add: addKey },
  { names: ['list', 'inspect', 'prune'], add: addEntries },
  { names: ['setup'], add: addSetup },
  { names: ['policy'], add: addPolicy },
  { names: ['ticket'], add: addTicket },
  { names: ['doctor'], add: addDoctor },
  { names: ['config'], add: addConfig },
  { names: ['keygen'], add: addKeygen },
  { names: ['completion'], add: addCompletion },
  { names: [RECIPES_COMMAND], add: addProjectRecipes },
  { names: ['help'], add: addHelp },
];

/** The program and the command that a command line names, if any: `sandbox-cache restore`. */
export function commandLineStart(argv: readonly string[]): string {
  const known = COMMANDS.flatMap(({ names }) => names);
  return ['sandbox-cache', ...argv.filter((word) => known.includes(word)).slice(0, 1)].join(' ');
}

/**
 * Only the named command is created, unless somebody asks for help. Creating all of them would cost every
 * start 4 ms.
 */
function commandsFor(argv: readonly string[]): typeof COMMANDS {
  const asksForHelp = ['help', '--help', '-h'].some((word) => argv.includes(word));
  const named = COMMANDS.filter(({ names }) => names.some((name) => argv.includes(name)));
  return asksForHelp || named.length === 0 ? COMMANDS : named;
}
