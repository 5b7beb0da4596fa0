/** Commands that neither restore nor save. */
import { Argument, type Command } from 'commander';
import { RECIPES_COMMAND } from '../completion/project-recipes.ts';
import { CacheError } from '../errors.ts';
import { builtInRecipes, knownRecipes } from '../recipes/index.ts';
import { examples } from './help-text.ts';
import type { Given, GlobalFlags, RunAction } from './types.ts';

export function addKeygen(program: Command, run: RunAction): void {
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
        const { keygen } = await import('../commands/keygen.ts');
        const files = keygen(session, name);
        const text = `Savers get CACHE_SIGNING_KEY=${files.signingKey}\nRestorers get CACHE_VERIFY_KEY=${files.verifyKey}`;
        return { json: files, text };
      }),
    );
}

export function addCompletion(program: Command, _run: RunAction, { outputs, whole }: Given): void {
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
    // Needs no session: a shell may start in any directory, and with invalid settings.
    .action(async (shell: 'bash' | 'zsh' | 'fish') => {
      const { completionScript } = await import('../completion/script.ts');
      const recipes = builtInRecipes.map(({ name }) => name);
      const script = completionScript(shell, whole(), recipes);
      const { json, quiet } = program.opts<GlobalFlags>();
      if (json === true) outputs.stdout.write(`${JSON.stringify({ shell, script }, undefined, 2)}\n`);
      else if (quiet !== true) outputs.stdout.write(script);
    });
}

/** For the completion scripts. Errors of the project must not be printed while somebody types. */
export function addProjectRecipes(program: Command, _run: RunAction, { outputs }: Given): void {
  program.command(RECIPES_COMMAND, { hidden: true }).action(() => {
    try {
      const own = knownRecipes(process.cwd()).filter((recipe) => !builtInRecipes.includes(recipe));
      outputs.stdout.write(own.map(({ name }) => `${name}\n`).join(''));
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
    }
  });
}

export function addHelp(program: Command): void {
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
