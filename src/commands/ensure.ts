import { CacheError } from '../errors.ts';
import type { Recipe, Verdict } from '../recipes/support/recipe.ts';
import { type Held, holding, projectOf } from '../session/hold.ts';
import { identify, type Subject } from '../session/identify.ts';
import { isConfirmed, isUseless } from '../session/in-place.ts';
import type { InstallOptions } from '../session/install.ts';
import { installMissing } from '../session/install-missing.ts';
import type { OutcomeDetail } from '../session/outcome.ts';
import { requireStoreApart } from '../session/overlap.ts';
import { recoverLeftovers } from '../session/place.ts';
import { restore } from './restore.ts';
import { save, type SaveOptions } from './save.ts';
import { entryUrl, type Session, whyOff } from '../session/session.ts';
import { verify } from '../session/verify.ts';
import { withDeadline } from '../session/deadline.ts';

/**
 * The whole entrypoint pattern: restore → verify → else install → verify → save. Succeeds whenever the
 * dependencies are present and verified in the end, whatever went wrong with the cache.
 */
export async function ensure(
  session: Session,
  recipe: Recipe,
  options: InstallOptions,
): Promise<OutcomeDetail> {
  const began = performance.now();
  const elsewhere = recipe.lookElsewhere?.(projectOf(session, recipe));
  // Reported before minutes of installing. A command that the caller gave may fix it.
  if (elsewhere !== undefined && options.command.length === 0)
    throw new CacheError('VERIFY_FAILED', `${recipe.name} was not installed: ${elsewhere.reason}`);
  await requireStoreApartHere(session, recipe);
  const ensuring: Ensuring = {
    recipe,
    options,
    isElsewhere: elsewhere !== undefined,
    seconds: () => (performance.now() - began) / 1000,
  };
  // Most runs have nothing to do, so they need no hold.
  const found = await lookInPlace(session, recipe);
  if (found.type === 'ready') return ready(session, found.key, ensuring);
  return holding({ session, recipe, patient: true }, async (held) => {
    const now = held.hold?.waited === true ? await lookInPlace(held.session, recipe) : found;
    if (now.type === 'ready') return ready(session, now.key, ensuring);
    return restoreOrInstall(held, ensuring, now.type === 'broken');
  });
}

interface Ensuring {
  recipe: Recipe;
  options: InstallOptions;
  /** Whether the package manager looked elsewhere when this run began. */
  isElsewhere: boolean;
  seconds: () => number;
}

async function restoreOrInstall(held: Held, ensuring: Ensuring, again: boolean): Promise<OutcomeDetail> {
  const { session, hold } = held;
  const { recipe, seconds } = ensuring;
  const restored = await forgiving(session, () => restore(session, recipe, { again }));
  if (restored.type === 'restored')
    return { ...restored, type: 'ensured', by: 'cache', saved: 'exists', seconds: seconds() };
  if (restored.type === 'unverified') {
    const message = `The restored ${recipe.name} tree is not usable: ${restored.reason}`;
    session.emit({ type: 'warning', message });
    const isSound = ensuring.isElsewhere || restored.blame === 'settings';
    return installAndSave(held, ensuring, !isSound);
  }
  const useless = await isUseless(session.config, { recipe, project: projectOf(session, recipe) });
  const isWhole = (hold?.marked ?? 'none') === 'none' && !useless;
  // Somebody else has installed it, or the cache is off. Emptying a good tree to fill it again would help
  // nobody. But an older entry, restored as a base, must not be saved under a key that does not name all of it.
  if (isWhole && recipe.verifiesLockfile && (await isInstalled(session, recipe)))
    return { type: 'ensured', by: 'tree', ...(await saveInstalled(session, recipe)), seconds: seconds() };
  const isClean = useless || hold?.marked === 'left';
  return installAndSave(held, ensuring, isClean, restored.type === 'miss' ? restored.key : undefined);
}

/** @param missed the key that the store has nothing under, as far as it told */
async function installAndSave(
  held: Held,
  { recipe, options, seconds }: Ensuring,
  isClean: boolean,
  missed?: string,
): Promise<OutcomeDetail> {
  const { session } = held;
  const installed = await installMissing(held, recipe, { ...options, isClean, missed });
  if (installed.type === 'install-failed') return installed;
  const { base, stored: from, installSeconds, steps } = installed;

  const verified = await isVerified(session, recipe);
  if (!verified.ok) {
    throw new CacheError(
      'VERIFY_FAILED',
      `${recipe.name} is still not usable after the install: ${verified.reason}`,
    );
  }
  const stored = await saveInstalled(session, recipe, {
    installSeconds,
    steps,
    from,
  });
  const used = base === undefined ? {} : { base };
  return { type: 'ensured', by: 'install', ...stored, ...used, seconds: seconds() };
}

/**
 * An installer would delete it as a restore does; without a lockfile nobody knows which directories it fills.
 */
async function requireStoreApartHere(session: Session, recipe: Recipe): Promise<void> {
  const project = projectOf(session, recipe);
  if (project.hasLockfile) await requireStoreApart(session, recipe, project);
}

async function saveInstalled(
  session: Session,
  recipe: Recipe,
  options: SaveOptions = {},
): Promise<{ saved: 'saved' | 'exists' | 'not saved'; key?: string; url?: string }> {
  const done = await forgiving(session, () => save(session, recipe, options));
  return {
    saved: done.type === 'saved' || done.type === 'exists' ? done.type : 'not saved',
    ...('url' in done ? { key: done.key, url: done.url } : {}),
  };
}

type InPlace =
  | { type: 'ready'; key: string }
  /** There is a receipt, but not the tree that it describes. */
  | { type: 'broken' }
  | { type: 'absent' };

async function lookInPlace(session: Session, recipe: Recipe): Promise<InPlace> {
  try {
    const subject =
      whyOff(session.config, 'read') === undefined ? await identify(session, recipe) : undefined;
    if (subject === undefined || !(await isConfirmed(session.config, subject))) return { type: 'absent' };
    if (!(await verifyHere(session, subject)).ok) return { type: 'broken' };
    await withDeadline(session, `Clearing up for ${recipe.name}`, (signal) =>
      recoverLeftovers(session, subject, signal),
    );
    return { type: 'ready', key: subject.key };
  } catch (error) {
    // The restore will meet this error again, and report it.
    if (session.signal.aborted || !(error instanceof CacheError)) throw error;
    return { type: 'absent' };
  }
}

function ready({ config, emit }: Session, key: string, { seconds }: Ensuring): OutcomeDetail {
  emit({ type: 'step', text: `Already in place: ${key}` });
  const url = entryUrl(config, key);
  return { type: 'ensured', by: 'receipt', saved: 'exists', seconds: seconds(), key, url };
}

async function isInstalled(session: Session, recipe: Recipe): Promise<boolean> {
  if (!(await isVerified(session, recipe)).ok) return false;
  return (await recipe.holdsMore?.(projectOf(session, recipe))) !== true;
}

async function isVerified(session: Session, recipe: Recipe): Promise<Verdict> {
  const project = projectOf(session, recipe);
  if (project.hasLockfile) return verifyHere(session, { recipe, project }, { isThorough: true });
  return { ok: false, reason: `there is no ${recipe.lockfiles.join(' or ')}`, blame: 'machine' };
}

/** Whether the tree is whole, and is the one that the package manager uses in the caller's environment. */
async function verifyHere(
  session: Session,
  subject: Pick<Subject, 'recipe' | 'project'>,
  options: { isThorough?: boolean } = {},
): Promise<Verdict> {
  const { recipe, project } = subject;
  const elsewhere = recipe.lookElsewhere?.(project);
  if (elsewhere !== undefined) return { ok: false, reason: elsewhere.reason, blame: 'machine' };
  return withDeadline(session, `Verifying ${recipe.name}`, (signal) => verify(subject, signal, options));
}

/** Reports a cache problem and goes on, because the install is still to come, or done already. */
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
