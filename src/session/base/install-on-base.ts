/**
 * An install on top of the nearest older entry: most packages come from the cache, and the package manager
 * adds what changed. The tree comes out as an install from nothing would have made it, or is given up.
 */
import { CacheError, reasonOf } from '../../errors.ts';
import type { Incremental, Pruned } from '../../recipes/support/recipe.ts';
import type { Recipe } from '../../recipes/support/recipe.ts';
import type { Hold } from '../../workspace/hold.ts';
import { counted } from '../../text/counted.ts';
import { withDeadline } from '../deadline.ts';
import { forThisImage } from '../fit.ts';
import { type Held, projectOf } from '../hold.ts';
import { identify, type Subject } from '../identify.ts';
import { type InstallOptions, runInstaller } from '../install.ts';
import type { BaseUse } from '../outcome.ts';
import { place, type Placed, placeStored, prepare } from '../place.ts';
import type { Session } from '../session.ts';
import { verify } from '../verify.ts';
import { type Base, chooseBase } from './choose-base.ts';
import { keepingLockfile } from './keep-lockfile.ts';
import { rememberBase, type RestoredBase } from './restored-base.ts';

/** - `none`: no older entry is near. `given up`: the tree in place is of no use, and is marked. */
export type OnBase = { type: 'none' } | { type: 'given up' } | Built;

export interface Built extends BaseUse {
  type: 'installed';
  /** The older entry, for a save that copies from it. Undefined where none is to. */
  stored: RestoredBase | undefined;
  /** What an install from nothing took, when there last was one. */
  installSeconds: number;
  /** For the lineage of what is saved now. Undefined if no later install can build on it. */
  steps: number | undefined;
}

/**
 * @param missed the key that nothing was found under
 */
export async function installOnBase(
  held: Held,
  recipe: Recipe,
  { missed, ...options }: Pick<InstallOptions, 'installerOutput' | 'delta'> & { missed: string },
): Promise<OnBase> {
  const { session, hold } = held;
  const incremental = await recipe.incremental?.();
  // Within an installer of ours the mark is not ours to set and to remove.
  if (hold === undefined || incremental === undefined || hold.marked === 'under way') return { type: 'none' };
  const subject = await subjectOf(session, recipe, missed);
  if (subject === undefined) return { type: 'none' };
  let base: Base | undefined;
  try {
    base = await withDeadline(session, `Looking for an older entry of ${recipe.name}`, async (signal) =>
      chooseBase({ session, subject, store: await session.store(), signal }),
    );
  } catch (error) {
    return giveUp(session, error, { type: 'none' });
  }
  if (base === undefined) return { type: 'none' };
  hold.mark();
  try {
    return await build({ session, hold, recipe, subject, incremental, base }, options);
  } catch (error) {
    return giveUp(session, error, { type: 'given up' });
  }
}

interface Building {
  session: Session;
  hold: Hold;
  recipe: Recipe;
  subject: Subject;
  incremental: Incremental;
  base: Base;
}

async function build(
  building: Building,
  { delta, ...options }: Pick<InstallOptions, 'installerOutput' | 'delta'>,
): Promise<OnBase> {
  const { session, hold, recipe, subject, incremental, base } = building;
  const { project } = subject;
  const { installSeconds, stored } = await placeBase(building, delta);
  const pruned = await withDeadline(session, `Cleaning up ${base.key}`, (signal) =>
    incremental.prune(project, signal, stayingIn(hold.layout)),
  );
  session.emit({ type: 'step', text: `Keeping ${counted(pruned.kept.size, 'package')} of ${base.key}` });
  const began = performance.now();
  const command = incremental.install(project);
  const installing =
    command && keepingLockfile(project, () => runInstaller(session, recipe, { ...options, command }));
  // The installer has been started by then, and takes its time.
  setImmediate(() => stored?.planned?.());
  const failed = await installing;
  const seconds = (performance.now() - began) / 1000;
  const wrong =
    failed === undefined
      ? await wrongAfter(building, pruned)
      : `${failed.command} ended with ${failed.status}`;
  if (wrong !== undefined) throw new CacheError('VERIFY_FAILED', wrong);
  const steps = incremental.isPristine(project, pruned) ? base.steps + 1 : undefined;
  hold.unmark();
  const packages = incremental.count(project);
  return {
    type: 'installed',
    base: base.key,
    kept: pruned.kept.size,
    packages,
    stored,
    seconds,
    installSeconds,
    steps,
  };
}

/** What a restore leaves where it is, relative to the project. */
function stayingIn({ places }: Hold['layout']): Set<string> {
  const paths = places.map(({ target, how, keep }) =>
    how === 'alias' ? [target] : keep.map((name) => `${target}/${name}`),
  );
  return new Set(paths.flat());
}

/** Puts the older entry in place, as it is and without a receipt. */
async function placeBase(
  { session, hold, subject, base }: Building,
  delta: boolean,
): Promise<Placed & { stored: RestoredBase | undefined }> {
  return withDeadline(session, `Restoring ${base.key}`, async (signal) => {
    const store = await session.store();
    const opened = await store.open(base.key, { signal });
    const gone = new CacheError('STORE_REPLACED', `${base.key} was deleted meanwhile`);
    if (opened === undefined) throw gone;
    session.emit({ type: 'step', text: `Building on an older entry: ${store.url(base.key)}` });
    const preparation = prepare(session);
    const placing = { session, hold, subject, preparation, signal, digest: base.digest, store };
    const placed = await placeStored(placing, opened, (here, entry) =>
      place(here, entry, async (done) => {
        const stored = delta ? await rememberBase({ session, subject, signal }, entry, done) : undefined;
        return { ...done, stored };
      }),
    );
    if (placed === 'deleted') throw gone;
    return placed;
  });
}

async function wrongAfter(
  { session, recipe, subject, incremental }: Building,
  pruned: Pruned,
): Promise<string | undefined> {
  const verdict = await withDeadline(session, `Verifying ${recipe.name}`, (signal) =>
    verify(subject, signal, { isThorough: true }),
  );
  if (!verdict.ok) return verdict.reason;
  const stray = incremental.stray(projectOf(session, recipe), pruned);
  return stray === undefined ? undefined : `an install from nothing would not have left ${stray}`;
}

async function subjectOf(session: Session, recipe: Recipe, missed: string): Promise<Subject | undefined> {
  const subject = await identify(session, recipe);
  if (subject === undefined || subject.key === missed) return subject;
  // The entry under the shared key needs what this machine lacks.
  return forThisImage(subject);
}

function giveUp(session: Session, error: unknown, result: OnBase): OnBase {
  if (session.signal.aborted) throw error;
  session.emit({
    type: 'warning',
    message: `Installing from nothing: ${error instanceof CacheError ? error.message : reasonOf(error)}`,
  });
  return result;
}
