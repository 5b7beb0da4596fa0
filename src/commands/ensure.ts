import { recipeEnvironment } from '../config/config.ts';
import { CacheError } from '../errors.ts';
import { findLockfile } from '../recipes/lockfile.ts';
import type { Command, Project, Recipe, Verdict } from '../recipes/recipe.ts';
import { runCommand } from '../recipes/run.ts';
import { findFitting } from './fit.ts';
import { identify } from './identify.ts';
import type { OutcomeDetail } from './outcome.ts';
import { requireStoreApart } from './overlap.ts';
import { restore } from './restore.ts';
import { save } from './save.ts';
import { entryUrl, type Session, whyOff, withDeadline } from './session.ts';
import { verify } from './verify.ts';

export interface EnsureOptions {
  /** The command after `--`, in place of the recipe's own. */
  command: readonly string[];
  /** With `--json` the installer's output goes to stderr: stdout is for the document alone. */
  installerOutput: 'inherit' | 'stderr';
}

/**
 * The whole entrypoint pattern: restore → verify → else install → verify → save. Ends well whenever the dependencies
 * are present and verified, whatever the cache did on the way.
 */
export async function ensure(
  session: Session,
  recipe: Recipe,
  options: EnsureOptions,
): Promise<OutcomeDetail> {
  const began = performance.now();
  const seconds = (): number => (performance.now() - began) / 1000;
  const elsewhere = recipe.lookElsewhere?.(projectOf(session, recipe));
  // Said before minutes of installing. A command of the caller's may set right what is wrong.
  if (elsewhere !== undefined && options.command.length === 0)
    throw new CacheError('VERIFY_FAILED', `${recipe.name} was not installed: ${elsewhere.reason}`);
  await requireStoreApartHere(session, recipe);
  const restored = await forgiving(session, () => restore(session, recipe));
  if (restored.type === 'restored')
    return { ...restored, type: 'ensured', by: 'cache', saved: 'exists', seconds: seconds() };
  if (restored.type === 'in-place' && (await isVerified(session, recipe)).ok) {
    const url = entryUrl(session.config, restored.key);
    return { ...restored, type: 'ensured', by: 'receipt', saved: 'exists', seconds: seconds(), url };
  }
  if (restored.type === 'unverified') {
    session.emit({
      type: 'warning',
      message: `The restored ${recipe.name} tree is not usable: ${restored.reason}`,
    });
  }
  // Somebody else has installed it, or the cache is off: emptying a good tree to fill it again would help nobody.
  else if (recipe.verifiesLockfile && (await isVerified(session, recipe)).ok)
    return { type: 'ensured', by: 'tree', ...(await saveInstalled(session, recipe)), seconds: seconds() };
  return installAndSave(session, recipe, { ...options, seconds });
}

/** @throws CacheError CONFIG_INVALID when no cache can be warmed */
export function requireWritable({ config }: Session): void {
  const off = whyOff(config, 'write');
  if (off === undefined) return;
  throw new CacheError('CONFIG_INVALID', `There is no cache to warm: ${off}`, {
    hint:
      config.store.type === 'off'
        ? 'Set it to the bucket to fill.'
        : 'Unset it for the job that warms the cache.',
  });
}

/** For CI: nothing is downloaded; where the entry is missing, install, verify, save. */
export async function warm(session: Session, recipe: Recipe, options: EnsureOptions): Promise<OutcomeDetail> {
  const subject = await identify(session, recipe);
  if (subject === undefined) return { type: 'no-lockfile', lockfiles: recipe.lockfiles };
  await requireStoreApart(session, recipe, subject.project);
  const store = await session.store();
  const found = await withDeadline(session, `Looking up ${recipe.name}`, (signal) =>
    findFitting(session, subject, { look: (at) => store.stat(at, { signal }) }),
  );
  const { key } = found.subject;
  if ((found.entry ?? found.misfit) !== undefined) {
    session.emit({ type: 'step', text: `Cache already exists: ${store.url(key)}` });
    return { type: 'exists', key, url: store.url(key) };
  }
  session.emit({ type: 'step', text: `Cache miss for ${recipe.name} (${subject.hash})` });
  const began = performance.now();
  const installed = await install(session, recipe, options);
  if (installed !== undefined) return installed;
  return save(session, recipe, { installSeconds: (performance.now() - began) / 1000 });
}

async function installAndSave(
  session: Session,
  recipe: Recipe,
  options: EnsureOptions & { seconds: () => number },
): Promise<OutcomeDetail> {
  const began = performance.now();
  const installed = await install(session, recipe, options);
  if (installed !== undefined) return installed;
  const installSeconds = (performance.now() - began) / 1000;

  const verified = await isVerified(session, recipe);
  if (!verified.ok) {
    throw new CacheError(
      'VERIFY_FAILED',
      `${recipe.name} is still not usable after the install: ${verified.reason}`,
    );
  }
  const stored = await saveInstalled(session, recipe, installSeconds);
  return { type: 'ensured', by: 'install', ...stored, seconds: options.seconds() };
}

/** An installer would delete it as a restore does; without a lockfile nobody knows which directories it fills. */
async function requireStoreApartHere(session: Session, recipe: Recipe): Promise<void> {
  const project = projectOf(session, recipe);
  if (findLockfile(project.dir, recipe) !== undefined) await requireStoreApart(session, recipe, project);
}

function projectOf({ config }: Session, recipe: Recipe): Project {
  const { projectDir: dir } = config;
  const lockfile = findLockfile(dir, recipe) ?? recipe.lockfiles[0] ?? '';
  return { dir, lockfile, env: recipeEnvironment(config, recipe) };
}

async function saveInstalled(
  session: Session,
  recipe: Recipe,
  installSeconds?: number,
): Promise<{ saved: 'saved' | 'exists' | 'not saved'; key?: string; url?: string }> {
  const options = installSeconds === undefined ? {} : { installSeconds };
  const done = await forgiving(session, () => save(session, recipe, options));
  return {
    saved: done.type === 'saved' || done.type === 'exists' ? done.type : 'not saved',
    ...('url' in done ? { key: done.key, url: done.url } : {}),
  };
}

/** @returns undefined when the installer ended with status 0. */
async function install(
  session: Session,
  recipe: Recipe,
  options: EnsureOptions,
): Promise<OutcomeDetail | undefined> {
  const command = installCommand(session, recipe, options);
  const text = command.argv.join(' ');
  session.emit({ type: 'step', text: `Installing ${recipe.name}: ${text}` });
  const { status } = await runCommand(command, {
    project: projectOf(session, recipe),
    output: options.installerOutput,
    signal: session.signal,
  });
  return status === 0 ? undefined : { type: 'install-failed', status, command: text };
}

function installCommand(session: Session, recipe: Recipe, { command }: EnsureOptions): Command {
  const own = recipe.install(projectOf(session, recipe));
  const [program, ...rest] = command;
  if (program !== undefined) return { argv: [program, ...rest], env: own?.env ?? {} };
  if (own !== undefined) return own;
  throw new CacheError('USAGE', `${recipe.name} has no install command of its own`, {
    hint: `Give one after --, e.g. sandbox-cache ensure ${recipe.name} … -- make deps`,
  });
}

/** Whether the tree is whole, and is the one that the package manager uses in the caller's environment. */
async function isVerified(session: Session, recipe: Recipe): Promise<Verdict> {
  const subject = await identify(session, recipe);
  if (subject === undefined)
    return { ok: false, reason: `there is no ${recipe.lockfiles.join(' or ')}`, blame: 'machine' };
  const elsewhere = recipe.lookElsewhere?.(subject.project);
  if (elsewhere !== undefined) return { ok: false, reason: elsewhere.reason, blame: 'machine' };
  return withDeadline(session, `Verifying ${recipe.name}`, (signal) => verify(subject, signal));
}

/** A cache problem is told and passed over: the install is still to come, or is done already. */
async function forgiving(session: Session, work: () => Promise<OutcomeDetail>): Promise<OutcomeDetail> {
  try {
    return await work();
  } catch (error) {
    if (session.signal.aborted || !(error instanceof CacheError)) throw error;
    session.emit({
      type: 'warning',
      message: error.message,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
    return { type: 'failed', error };
  }
}
