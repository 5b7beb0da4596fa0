/** Commands that take recipes: their names, their arguments, their help. */
import { type Command, Option } from 'commander';
import { saveInBackground } from '../commands/save-in-background.ts';
import type { RecipeFlags } from '../session/choose.ts';
import { ensure } from '../commands/ensure.ts';
import { explain, key, keyOfHash } from '../commands/key.ts';
import { restore } from '../commands/restore.ts';
import { save } from '../commands/save.ts';
import type { Session } from '../session/session.ts';
import { requireWritable, warm } from '../commands/warm.ts';
import { CacheError } from '../errors.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import { each } from './each.ts';
import { examples, exitCodes } from './help-text.ts';
import { recipeOptions } from './recipe-options.ts';
import type { Given, GlobalFlags, RunAction } from './types.ts';
import { hash } from './values.ts';

export function addRestore(program: Command, run: RunAction): void {
  recipeCommand(program, 'restore', 'Restore caches: those named, or every one whose lockfile is found')
    .option(
      '--fallback',
      'without an exact entry take the newest older one as a base for the install (still exit 1)',
    )
    .option('--evict', 'delete an entry that fails its checks')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache restore bundle || bundle install', 'one recipe: not 0 means install'],
        ['sandbox-cache ensure', 'several: installs only what is missing'],
        ['sandbox-cache restore pip --lockfile requirements.txt --path venv', 'anything with a lockfile'],
      ]) +
        exitCodes([
          ['0', 'restored, or in place'],
          ['1', 'a miss, caching off, or no lockfile'],
          ['2', 'wrong usage or configuration'],
          ['3', 'the store, network or archive failed; nothing was changed'],
          ['4', 'restored, but verification failed: install'],
        ]),
    )
    .action(
      (names: string[], flags: RecipeFlags & { fallback?: boolean; evict?: boolean }, command: Command) =>
        run(command, async (session, tell) => {
          await each({ session, tell, names, flags, use: 'read' }, (recipe) =>
            restore(session, recipe, flags),
          );
          return undefined;
        }),
    );
}

export function addSave(program: Command, run: RunAction): void {
  recipeCommand(program, 'save', 'Pack and upload what is installed, unless the entry exists')
    .option('--force', 'replace the entry if there is one')
    .option('--no-verify', 'save a tree that does not pass its verification')
    .option('--background', 'return at once; another process saves, and the next run tells if it failed')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache save', 'everything that is installed here'],
        ['sandbox-cache save bundle || true', 'in a script under set -e'],
      ]) +
        exitCodes([
          ['0', 'saved, already stored, or caching is off'],
          ['1', 'a named recipe has nothing installed, or no lockfile'],
          ['2', 'wrong usage or configuration'],
          ['3', 'the store, network or disk failed'],
          ['4', 'the tree does not pass its verification'],
        ]),
    )
    .action((names: string[], flags: RecipeFlags & SaveFlags, command: Command) =>
      run(command, async (session, tell) => {
        await each({ session, tell, names, flags, use: 'write' }, (recipe) =>
          flags.background === true
            ? saveInBackground(session, recipe, saveArguments(session, recipe, flags))
            : save(session, recipe, flags),
        );
        return undefined;
      }),
    );
}

/** The command line of the background process that saves one recipe. */
function saveArguments(
  { config }: Session,
  recipe: Recipe,
  { lockfile = [], path = [], force, verify }: RecipeFlags & SaveFlags,
): string[] {
  return [
    'save',
    recipe.name,
    ...lockfile.flatMap((file) => ['--lockfile', file]),
    ...path.flatMap((dir) => ['--path', dir]),
    ...(force === true ? ['--force'] : []),
    ...(verify ? [] : ['--no-verify']),
    '--project',
    config.projectDir,
  ];
}

interface SaveFlags {
  force?: boolean;
  verify: boolean;
  background?: boolean;
}

export function addEnsure(program: Command, run: RunAction, { argv: words }: Given): void {
  recipeOptions(program.command('ensure'))
    .description('Restore and verify, or else install, verify and save: an entrypoint in one line')
    .argument('[recipe]', 'those named, or every one whose lockfile is found')
    .argument('[command...]', 'the install command, after --')
    .addOption(noFallback())
    .addOption(noDelta())
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache ensure', 'everything that has a lockfile here'],
        ['sandbox-cache ensure bundle', 'bundle install when it has to'],
        ['sandbox-cache ensure npm -- npm ci --ignore-scripts', 'with an install command of your own'],
      ]) +
        exitCodes([
          ['0', 'the dependencies are present and verified'],
          ['4', 'installed, but still not usable'],
          ['n', "the installer's own status, when it failed"],
        ]),
    )
    .action(
      (first: string | undefined, more: string[], flags: RecipeFlags & FallbackFlag, command: Command) =>
        run(command, async (session, tell) => {
          const operands = first === undefined ? [] : [first, ...more];
          const { names, installer } = splitOperands(operands, words);
          await each({ session, tell, names, flags }, (recipe) =>
            ensure(session, recipe, {
              command: installer,
              installerOutput: installerOutput(command),
              fallback: flags.fallback,
              delta: flags.delta,
            }),
          );
          return undefined;
        }),
    );
}

/**
 * The words before `--` are recipes; those behind it are the install command for one recipe.
 * @throws CacheError USAGE
 */
function splitOperands(
  operands: readonly string[],
  words: readonly string[],
): { names: string[]; installer: string[] } {
  const at = words.indexOf('--');
  const installer = at === -1 ? [] : words.slice(at + 1);
  const names = operands.slice(0, operands.length - installer.length);
  if (installer.length === 0 || names.length === 1) return { names, installer };
  throw new CacheError('USAGE', 'An install command goes with the name of one recipe', {
    hint: `For example: sandbox-cache ensure npm -- ${installer.join(' ')}`,
  });
}

export function addWarm(program: Command, run: RunAction): void {
  recipeCommand(program, 'warm', 'For CI: look up, and where an entry is missing install, verify and save')
    .addOption(noFallback())
    .addOption(noDelta())
    .option('--clean', 'install from nothing, so that later installs build on a fresh entry')
    .addHelpText('after', examples([['sandbox-cache warm', 'fill the cache before the fleet starts']]))
    .action((names: string[], flags: RecipeFlags & FallbackFlag & { clean?: boolean }, command: Command) =>
      run(command, async (session, tell) => {
        requireWritable(session);
        await each({ session, tell, names, flags }, (recipe) =>
          warm(session, recipe, { command: [], installerOutput: installerOutput(command), ...flags }),
        );
        return undefined;
      }),
    );
}

interface FallbackFlag {
  fallback: boolean;
  delta: boolean;
}

function noDelta(): Option {
  return new Option('--no-delta', 'send all of the new entry: do not let the store copy from the older one');
}

function noFallback(): Option {
  return new Option(
    '--no-fallback',
    'without an exact entry install from nothing, not on top of an older one',
  );
}

export function addKey(program: Command, run: RunAction): void {
  recipeCommand(program, 'key', 'Print the keys that the lockfiles name')
    .option('--explain', 'every ingredient; and when there is no such entry, what differs from the nearest')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache key npm', 'no network, no credentials'],
        ['sandbox-cache key --explain', 'why was it a miss?'],
      ]),
    )
    .addOption(new Option('--url', "the entries' URLs in place of their keys").conflicts('explain'))
    .addOption(
      new Option(
        '--hash <hash>',
        'the key that a lockfile with this hash has here: 16 hex digits, for one recipe of any name',
      )
        .argParser(hash)
        .conflicts(['explain', 'lockfile', 'path']),
    )
    .action((names: string[], flags: RecipeFlags & KeyFlags, command: Command) =>
      run(command, async (session, tell) => {
        if (flags.hash !== undefined) {
          const [name, ...more] = names;
          if (name === undefined || more.length > 0) {
            throw new CacheError('USAGE', '--hash takes the name of one recipe', {
              hint: 'For example: sandbox-cache key npm --hash 0123456789abcdef',
            });
          }
          const found = await keyOfHash(session, { ...flags, name, hash: flags.hash });
          return void tell({ recipe: name, label: name, type: 'key', key: found });
        }
        await each({ session, tell, names, flags }, (recipe) =>
          flags.explain === true ? explain(session, recipe) : key(session, recipe, flags),
        );
        return undefined;
      }),
    );
}

interface KeyFlags {
  explain?: boolean;
  url?: boolean;
  hash?: string;
}

/** With `--json` stdout holds one document and nothing else. */
function installerOutput(command: Command): 'stderr' | 'inherit' {
  return command.optsWithGlobals<GlobalFlags>().json === true ? 'stderr' : 'inherit';
}

function recipeCommand(program: Command, name: string, description: string): Command {
  return recipeOptions(program.command(name))
    .description(description)
    .argument('[recipe...]', 'bundle, npm, or a name of your own with --lockfile and --path');
}
