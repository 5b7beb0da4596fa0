/**
 * The commander program: names, flags and help. What a command does is in `commands/`, which load what is large (the SDK, the
 * archive, the staging) when they need it.
 */
import { Argument, Command, InvalidArgumentError, Option } from 'commander';
import type { Outcome, OutcomeDetail } from './commands/outcome.ts';
import { type Session, whyOff } from './commands/session.ts';
import { parseDuration, parseSize } from './config.ts';
import { CacheError } from './errors.ts';
import { saveInBackground } from './commands/background.ts';
import { choose, type RecipeFlags } from './commands/choose.ts';
import { ensure, requireWritable, warm } from './commands/ensure.ts';
import { entriesNamed, prune, storedEntry } from './commands/entries.ts';
import { inspect } from './commands/inspect.ts';
import { explain, key, keyOfHash } from './commands/key.ts';
import { restore } from './commands/restore.ts';
import { save } from './commands/save.ts';
import { builtInRecipes, findRecipe } from './recipes/index.ts';
import type { Recipe } from './recipes/recipe.ts';
import type { Output } from './report/output.ts';
import { type Document, inspectDocument, listDocument, pruneDocument } from './report/documents.ts';

declare const SANDBOX_CACHE_VERSION: string;

export interface GlobalFlags {
  /** Name of the command. */
  command: string;
  project?: string;
  verbose?: boolean;
  quiet?: boolean;
  json?: boolean;
}

export type Action = (session: Session, tell: (outcome: Outcome) => void) => Promise<Document | undefined>;

type Perform = (flags: GlobalFlags, action: Action) => Promise<void>;

/** Where help and usage errors go. */
interface Outputs {
  stdout: Pick<Output, 'write'>;
  stderr: Pick<Output, 'write'>;
}

/** @param argv the arguments: they decide which commands are needed */
export function createProgram(argv: readonly string[], outputs: Outputs, perform: Perform): Command {
  const { stdout, stderr } = outputs;
  const program = new Command('sandbox-cache')
    .configureOutput({
      writeOut: (text) => stdout.write(text),
      writeErr: (text) => stderr.write(text),
      // One line with a code, as all errors are.
      outputError: (text, write) =>
        write(
          `${text
            .trim()
            .replace(/\s*\n\s*/g, ' ')
            .replace(/\.$/, '')}; --help shows what it takes [USAGE]\n`,
        ),
    })
    .description(
      'Keeps vendor/bundle and node_modules in S3, named by their lockfiles, and brings them back in seconds.',
    )
    .version(SANDBOX_CACHE_VERSION)
    .option('-C, --project <dir>', 'the project directory (default: the current one)')
    .option('-v, --verbose', 'a [cache] line on stderr for each step (CACHE_VERBOSE)')
    .option('-q, --quiet', 'no result lines on stdout')
    .option('--json', 'one JSON document on stdout')
    .configureHelp({ showGlobalOptions: true })
    // commander's own answers a name that it does not know with the whole help, and not a word about the name.
    .helpCommand(false)
    .exitOverride()
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache ensure npm', 'restore, or else install and save'],
        ['sandbox-cache restore || npm ci', 'every cache whose lockfile is found'],
        ['sandbox-cache key --explain', 'what the keys are made of'],
      ]) +
        '\nSettings come from the environment and from .env.claude-sandbox: CACHE_S3_BUCKET first of all.\n',
    );

  const run = (command: Command, action: Action): Promise<void> =>
    perform({ ...command.optsWithGlobals<GlobalFlags>(), command: command.name() }, action);

  for (const { add } of commandsFor(argv)) add(program, run, { argv, outputs });
  return program;
}

type Run = (command: Command, action: Action) => Promise<void>;

/** What `createProgram` was given. */
interface Given {
  argv: readonly string[];
  outputs: Outputs;
}

const COMMANDS: readonly {
  names: string[];
  add: (program: Command, run: Run, given: Given) => void;
}[] = [
  { names: ['restore'], add: addRestore },
  { names: ['save'], add: addSave },
  { names: ['ensure'], add: addEnsure },
  { names: ['warm'], add: addWarm },
  { names: ['key'], add: addKey },
  { names: ['list', 'inspect', 'prune'], add: addEntries },
  { names: ['keygen'], add: addKeygen },
  { names: ['completion'], add: addCompletion },
  { names: ['help'], add: addHelp },
];

/** To make all commands costs every start 4 ms: only those that are named, unless somebody asks what there is. */
function commandsFor(argv: readonly string[]): typeof COMMANDS {
  const asksForHelp = ['help', '--help', '-h'].some((word) => argv.includes(word));
  const named = COMMANDS.filter(({ names }) => names.some((name) => argv.includes(name)));
  return asksForHelp || named.length === 0 ? COMMANDS : named;
}

function addRestore(program: Command, run: Run): void {
  recipeCommand(program, 'restore', 'Restore caches: those named, or every one whose lockfile is found')
    .option(
      '--fallback',
      'without an exact entry take the newest older one as a base for the install (still exit 1)',
    )
    .option('--evict', 'delete an entry that fails its checks')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache restore bundle || bundle install', 'exit 1 is a miss: install then'],
        ['sandbox-cache restore pip --lockfile requirements.txt --path venv', 'anything with a lockfile'],
      ]) +
        '\nExit codes: 0 restored or in place; 1 a miss, caching off or no lockfile; 2 wrong usage; 3 the store, the\n' +
        'network or the archive failed, and nothing was changed; 4 restored, but verification failed: install.\n',
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

function addSave(program: Command, run: Run): void {
  recipeCommand(program, 'save', 'Pack and upload what is installed, unless the entry exists')
    .option('--force', 'replace the entry if there is one')
    .option('--no-verify', 'save a tree that does not pass its verification')
    .option('--background', 'return at once; another process saves')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache save', 'everything that is installed here'],
        ['sandbox-cache save bundle || true', 'in a script under set -e'],
      ]) +
        '\nExit codes: 0 saved, already stored, or caching is off; 1 nothing installed or no lockfile; 2 wrong usage;\n3 the store, the network or the disk failed; 4 the tree does not pass its verification.\n',
    )
    .action((names: string[], flags: RecipeFlags & SaveFlags, command: Command) =>
      run(command, async (session, tell) => {
        if (flags.background === true) {
          await each({ session, tell, names, flags, use: 'write' }, (recipe) =>
            saveInBackground(session, recipe, saveArguments(session, recipe, flags)),
          );
          return undefined;
        }
        await each({ session, tell, names, flags, use: 'write' }, (recipe) => save(session, recipe, flags));
        return undefined;
      }),
    );
}

/** The command line of the process that saves one recipe in place of this one. */
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

function addEnsure(program: Command, run: Run, { argv: words }: Given): void {
  recipeOptions(program.command('ensure'))
    .description('Restore and verify, or else install, verify and save: an entrypoint in one line')
    .argument('<recipe>', 'bundle, npm, or a name of your own with --lockfile and --path')
    .argument('[command...]', 'the install command, after --')
    .addHelpText(
      'after',
      examples([
        ['sandbox-cache ensure bundle', 'bundle install when it has to'],
        ['sandbox-cache ensure npm -- npm ci --ignore-scripts', 'with an install command of your own'],
      ]) +
        "\nEnds with 0 whenever the dependencies are present and verified, whatever the cache did; else with the\ninstaller's own status; 4 if they are still not usable.\n",
    )
    .action((name: string, argv: string[], flags: RecipeFlags & { json?: boolean }, command: Command) =>
      run(command, async (session, tell) => {
        // `ensure bundle npm` would take npm for bundle's installer, and on a hit do nothing about it.
        if (argv.length > 0 && !words.includes('--')) {
          throw new CacheError(
            'USAGE',
            `ensure takes one recipe; ${JSON.stringify(argv.join(' '))} is one too many`,
            {
              hint: `Run ensure once for each recipe; an install command goes after --: ensure ${name} -- ${argv.join(' ')}`,
            },
          );
        }
        const installerOutput = command.optsWithGlobals<GlobalFlags>().json === true ? 'stderr' : 'inherit';
        await each({ session, tell, names: [name], flags }, (recipe) =>
          ensure(session, recipe, { command: argv, installerOutput }),
        );
        return undefined;
      }),
    );
}

function addWarm(program: Command, run: Run): void {
  recipeCommand(program, 'warm', 'For CI: look up, and where an entry is missing install, verify and save')
    .addHelpText('after', examples([['sandbox-cache warm', 'fill the cache before the fleet starts']]))
    .action((names: string[], flags: RecipeFlags, command: Command) =>
      run(command, async (session, tell) => {
        requireWritable(session);
        const installerOutput = command.optsWithGlobals<GlobalFlags>().json === true ? 'stderr' : 'inherit';
        await each({ session, tell, names, flags }, (recipe) =>
          warm(session, recipe, { command: [], installerOutput }),
        );
        return undefined;
      }),
    );
}

function addKey(program: Command, run: Run): void {
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

function addEntries(program: Command, run: Run): void {
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
        return listDocument(entries, Date.now());
      }),
    );

  program
    .command('inspect')
    .description('The files of one entry')
    .argument('<recipe or key>', 'a recipe found here, or a key as list prints it')
    .addHelpText('after', examples([['sandbox-cache inspect npm | head', 'as tar -t would show it']]))
    .action((what: string, _flags: unknown, command: Command) =>
      run(command, async (session) => {
        const recipe = findRecipe(session.config.projectDir, what);
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
      'all but the newest n of each recipe and runtime; with --older-than: those stay, however old',
      count,
    )
    .option('--max-size <size>', 'then the oldest, until no more than this is left, e.g. 10GB', size)
    .option('--dry-run', 'only say what would go')
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
        });
        return pruneDocument(pruned, dryRun);
      }),
    );
}

interface PruneFlags {
  olderThan?: number;
  keep?: number;
  maxSize?: number;
  dryRun?: boolean;
}

function addKeygen(program: Command, run: Run): void {
  program
    .command('keygen')
    .description('Make a pair of Ed25519 keys: savers sign with one, restorers check with the other')
    .argument('[name]', 'files to write: NAME.key and NAME.pub', 'sandbox-cache')
    .addHelpText(
      'after',
      examples([
        [
          'sandbox-cache keygen',
          'then CACHE_SIGNING_KEY=sandbox-cache.key, CACHE_VERIFY_KEY=sandbox-cache.pub',
        ],
      ]),
    )
    .action((name: string, _flags: unknown, command: Command) =>
      run(command, async (session) => {
        const { keygen } = await import('./commands/keygen.ts');
        const files = keygen(session, name);
        const text = `Savers get CACHE_SIGNING_KEY=${files.signingKey}\nRestorers get CACHE_VERIFY_KEY=${files.verifyKey}`;
        return { json: files, text };
      }),
    );
}

function addCompletion(program: Command, _run: Run, { outputs }: Given): void {
  program
    .command('completion')
    .description('Print a script that completes this command line in a shell')
    .addArgument(new Argument('<shell>', 'the shell that is to source it').choices(['bash', 'zsh', 'fish']))
    .addHelpText(
      'after',
      examples([
        ['eval "$(sandbox-cache completion bash)"', 'in ~/.bashrc'],
        ['eval "$(sandbox-cache completion zsh)"', 'in ~/.zshrc, below compinit'],
        ['sandbox-cache completion fish | source', 'in ~/.config/fish/config.fish'],
      ]),
    )
    // Without a session: a shell starts wherever it starts, and a wrong variable is nothing to it.
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('./completion/script.ts');
      const whole = createProgram(['help'], outputs, async () => {});
      const recipes = builtInRecipes.map(({ name }) => name);
      const script = completionScript(shell, whole, recipes);
      const { json, quiet } = program.opts<GlobalFlags>();
      if (json === true) outputs.stdout.write(`${JSON.stringify({ shell, script }, undefined, 2)}\n`);
      else if (quiet !== true) outputs.stdout.write(script);
    });
}

function addHelp(program: Command): void {
  program
    .command('help')
    .description('Show the help of a command')
    .argument('[command]', 'its name')
    .addHelpText('after', examples([['sandbox-cache help restore', '']]))
    .action((name: string | undefined) => {
      const command = name === undefined ? program : program.commands.find((one) => one.name() === name);
      if (command === undefined) program.error(`error: unknown command '${name}'`);
      command.help();
    });
}

function recipeCommand(program: Command, name: string, description: string): Command {
  return recipeOptions(program.command(name))
    .description(description)
    .argument('[recipe...]', 'bundle, npm, or a name of your own with --lockfile and --path');
}

function recipeOptions(command: Command): Command {
  return command
    .option('--lockfile <file>', 'a lockfile of a recipe that is not built in (repeatable)', collect)
    .option('--path <dir>', 'a directory to keep for it (repeatable)', collect);
}

interface Each {
  session: Session;
  tell: (outcome: Outcome) => void;
  names: readonly string[];
  flags: RecipeFlags;
  /** What the command cannot do without. @default nothing */
  use?: 'read' | 'write';
}

/** Does the work for each recipe in turn; one that fails does not keep the next from its turn. */
async function each(
  { session, tell, names, flags, use }: Each,
  work: (recipe: Recipe) => Promise<OutcomeDetail>,
): Promise<void> {
  const recipes = choose(session, names, flags);
  if (recipes.length === 0) tell(nothingFound(session, use));
  for (const recipe of recipes) {
    const about = { recipe: recipe.name, label: recipe.label };
    try {
      tell({ ...about, ...(await work(recipe)) });
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      tell({ ...about, type: 'failed', error });
      if (session.signal.aborted) return;
    }
  }
}

/** Nothing named and nothing found: said once, with every lockfile looked for. Without a cache there is nothing to say. */
function nothingFound({ config }: Session, use: Each['use']): Outcome {
  const about = { recipe: 'any recipe', label: 'Dependencies' };
  const off = use === undefined ? undefined : whyOff(config, use);
  if (off !== undefined) return { ...about, type: 'off', reason: off };
  return { ...about, type: 'no-lockfile', lockfiles: builtInRecipes.flatMap((recipe) => recipe.lockfiles) };
}

function collect(value: string, previous: string[] = []): string[] {
  return [...previous, value];
}

function duration(text: string): number {
  const value = parseDuration(text);
  if (value === undefined) throw new InvalidArgumentError('It takes a number and a unit: 30d, 12h, 90m.');
  return value;
}

function size(text: string): number {
  const value = parseSize(text);
  if (value === undefined) throw new InvalidArgumentError('It takes a size: 500MB, 10GB.');
  return value;
}

function hash(text: string): string {
  if (!/^[0-9a-f]{16}$/.test(text)) throw new InvalidArgumentError('It takes 16 hex digits.');
  return text;
}

function count(text: string): number {
  if (!/^\d+$/.test(text)) throw new InvalidArgumentError('It takes a whole number.');
  return Number(text);
}

function examples(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([line]) => line.length));
  const lines = rows.map(([line, what]) => `  $ ${what === '' ? line : `${line.padEnd(width)}  # ${what}`}`);
  return `\nExamples:\n${lines.join('\n')}\n`;
}
