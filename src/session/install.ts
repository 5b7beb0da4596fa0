import { CacheError } from '../errors.ts';
import type { Command, Project, Recipe } from '../recipes/support/recipe.ts';
import { runCommand } from '../recipes/support/run.ts';
import { requireProgram } from '../recipes/support/which.ts';
import { removeReceipts } from '../workspace/notes/receipt.ts';
import type { Hold } from '../workspace/hold.ts';
import { type Held, projectOf } from './hold.ts';
import type { Session } from './session.ts';
import type { OutcomeDetail } from './outcome.ts';

export interface InstallOptions {
  /** The command after `--`, in place of the recipe's own. */
  command: readonly string[];
  /** With `--json` the installer's output goes to stderr: stdout is for the document alone. */
  installerOutput: 'inherit' | 'stderr';
  /** Whether an older entry may be the base of the recipe's own install. */
  fallback: boolean;
  /** Whether the save may then copy from it. */
  delta: boolean;
}

export type InstallFailed = OutcomeDetail & { type: 'install-failed' };

/**
 * Runs the installer, under a mark until it has ended with status 0: see mark.ts.
 * @param isClean whether to remove first what is in the recipe's directories
 * @param isMarked whether this run has set the mark already @default false
 * @returns undefined if it ended with 0
 */
export async function install(
  { session, hold }: Held,
  recipe: Recipe,
  { isClean, isMarked, ...options }: InstallOptions & { isClean: boolean; isMarked?: boolean },
): Promise<InstallFailed | undefined> {
  const project = projectOf(session, recipe);
  const command = installCommand(recipe, project, options);
  // This comes before the mark: an installer that cannot be started leaves nothing half-done.
  requireProgram(command.argv[0], project);
  // If an installer has started us, its mark belongs to the run that started it.
  const isNested = hold?.marked === 'under way' && isMarked !== true;
  if (hold !== undefined) {
    if (!isNested) hold.mark();
    const targets = hold.layout.places.map(({ target }) => target);
    removeReceipts(project.dir, targets, recipe.marker);
    if (isClean) await empty(hold.layout);
  }
  const failed = await runInstaller(session, recipe, { ...options, command });
  if (failed !== undefined) return failed;
  if (!isNested) hold?.unmark();
  return undefined;
}

/** @returns undefined if it ended with 0 */
export async function runInstaller(
  session: Session,
  recipe: Recipe,
  { command, installerOutput: output }: Pick<InstallOptions, 'installerOutput'> & { command: Command },
): Promise<InstallFailed | undefined> {
  const text = command.argv.join(' ');
  session.emit({ type: 'step', text: `Installing ${recipe.name}: ${text}` });
  // An install may take any time, so it has no limit.
  const end = session.begin();
  const project = projectOf(session, recipe);
  const { status } = await runCommand(command, { project, output, signal: session.signal }).finally(end);
  return status === 0 ? undefined : { type: 'install-failed', status, command: text };
}

async function empty(layout: Hold['layout']): Promise<void> {
  const { emptyTargets } = await import('../workspace/empty.ts');
  await emptyTargets(layout);
}

function installCommand(recipe: Recipe, project: Project, { command }: InstallOptions): Command {
  const own = recipe.install(project);
  const [program, ...rest] = command;
  if (program !== undefined) return { argv: [program, ...rest], env: own?.env ?? {} };
  if (own !== undefined) return own;
  throw new CacheError('USAGE', `${recipe.name} has no install command of its own`, {
    hint: `Give one after --, e.g. sandbox-cache ensure ${recipe.name} … -- make deps`,
  });
}
