/** Commands about what is stored. */
import type { Command } from 'commander';
import { choose, type RecipeFlags } from '../session/choose.ts';
import { entriesNamed, storedEntry } from '../session/stored-entries.ts';
import { inspect } from '../commands/inspect.ts';
import { prune } from '../commands/prune.ts';
import { CacheError } from '../errors.ts';
import { findRecipe } from '../recipes/index.ts';
import { inspectDocument, listDocument, pruneDocument } from '../report/documents.ts';
import { examples } from './help-text.ts';
import { recipeOptions } from './recipe-options.ts';
import type { RunAction } from './types.ts';
import { count, duration, size } from './values.ts';

export function addEntries(program: Command, run: RunAction): void {
  program
    .command('list')
    .description('Entries with their size, age and runtime, the newest first')
    .argument('[recipe...]', 'only of these recipes')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache list', ''],
        ['sandbox-cache list npm --json', 'for scripts'],
      ]),
    )
    .action((names: string[], _flags: unknown, command: Command) =>
      run(command, async (session) => {
        const [only] = names;
        const exact = names.length === 1 && only !== undefined && only.includes('.tar');
        const refuse = (error: CacheError): never => {
          throw error;
        };
        const entries = exact
          ? [await storedEntry(session, only)]
          : await entriesNamed(session, names, refuse);
        return listDocument(entries);
      }),
    );

  const inspecting = program
    .command('inspect')
    .description('The files of one entry')
    .argument('<recipe or key>', 'a recipe found here, or a key as list prints it');
  recipeOptions(inspecting)
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache inspect npm | head', 'as tar -t would show it'],
        ['sandbox-cache inspect pip --lockfile requirements.txt --path venv', 'a recipe of your own'],
      ]),
    )
    .action((what: string, flags: RecipeFlags, command: Command) =>
      run(command, async (session) => {
        const isRecipe =
          flags.lockfile !== undefined ||
          flags.path !== undefined ||
          findRecipe(session.config.projectDir, what) !== undefined;
        const recipe = isRecipe ? choose(session, [what], flags)[0] : undefined;
        return inspectDocument(await inspect(session, recipe ?? what));
      }),
    );

  program
    .command('prune')
    .description('Delete old entries')
    .argument('[recipe...]', 'only of these recipes')
    .option('--older-than <age>', 'what is older than this, e.g. 30d, 12h', duration)
    .option(
      '--keep <n>',
      'all but the newest n of each recipe, runtime and compression; with --older-than: those stay, however old',
      count,
    )
    .option('--max-size <size>', 'then the oldest, until no more than this is left, e.g. 10GB', size)
    .option('--dry-run', 'only say what would go')
    .option(
      '--yes',
      'delete even where nothing would be left; else asked on a terminal, and refused elsewhere',
    )
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache prune --older-than 30d', ''],
        ['sandbox-cache prune --keep 3 --max-size 10GB --dry-run', ''],
      ]),
    )
    .action((names: string[], flags: PruneFlags, command: Command) =>
      run(command, async (session) => {
        const { olderThan, keep, maxSize } = flags;
        if (olderThan === undefined && keep === undefined && maxSize === undefined) {
          throw new CacheError('USAGE', 'prune needs --older-than, --keep or --max-size', {
            hint: 'For example: sandbox-cache prune --older-than 30d --dry-run',
          });
        }
        const dryRun = flags.dryRun === true;
        const pruned = await prune(session, names, {
          ...(olderThan === undefined ? {} : { olderThanMs: olderThan }),
          ...(keep === undefined ? {} : { keep }),
          ...(maxSize === undefined ? {} : { maxBytes: maxSize }),
          dryRun,
          mayDeleteAll: async (what) => flags.yes === true || mayDelete(what, session.signal),
        });
        return pruneDocument(pruned, dryRun);
      }),
    );
}

async function mayDelete(what: string, signal: AbortSignal): Promise<boolean> {
  // Not imported above: every start would load Node's readline.
  const { askPerson } = await import('./ask-person.ts');
  const agreed = await askPerson(`Delete ${what}?`, signal);
  if (agreed !== undefined) return agreed;
  throw new CacheError('USAGE', `This would delete ${what}`, {
    hint: 'Add --yes to do it, or look first with --dry-run.',
  });
}

interface PruneFlags {
  olderThan?: number;
  keep?: number;
  maxSize?: number;
  dryRun?: boolean;
  yes?: boolean;
}
