import { statSync } from 'node:fs';
import { join } from 'node:path';
import type { CompiledFile } from '../compiled/compiled-file.ts';
import { tellOfBackgroundFailure } from '../session/background-failure.ts';
import { bytesOf, type Chunk } from '../async/chunks.ts';
import { CacheError, systemCode } from '../errors.ts';
import type { Seal, Sign } from '../archive/types.ts';
import { keyDigest } from '../key.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import type { Store, WriteOptions } from '../store/store.ts';
import { clearRejected, readRejected } from '../workspace/notes/rejected.ts';
import type { RestoredBase } from '../session/base/restored-base.ts';
import { digestMetadata } from '../session/digest-metadata.ts';
import { findFitting, needsIn, needsMetadata } from '../session/fit.ts';
import { type Held, holding } from '../session/hold.ts';
import { identify, readIngredients, type Subject } from '../session/identify.ts';
import { confirm, isDistrusted, savedOrigin } from '../session/in-place.ts';
import type { OutcomeDetail } from '../session/outcome.ts';
import { requireStoreApart } from '../session/overlap.ts';
import { renewInUse } from '../session/renewing.ts';
import { type Session, whyOff } from '../session/session.ts';
import { sourceOf } from '../session/source.ts';
import { savingMetadata } from '../session/saving-time.ts';
import { signer } from '../session/signing.ts';
import { verify } from '../session/verify.ts';
import { withDeadline } from '../session/deadline.ts';

export interface SaveOptions {
  /** Replace the entry if there is one. */
  force?: boolean;
  /** Check the tree with the recipe first. @default true */
  verify?: boolean;
  /** What the install took, to travel with the entry. @default 0, unknown */
  installSeconds?: number;
  /** See `Lineage`. @default no later install can build on the tree */
  steps?: number | undefined;
  /** The entry that the tree was built on: the store may copy from it. */
  from?: RestoredBase | undefined;
}

/** Packs and uploads what is installed, unless the entry exists. */
export async function save(
  session: Session,
  recipe: Recipe,
  options: SaveOptions = {},
): Promise<OutcomeDetail> {
  tellOfBackgroundFailure(session, recipe);
  const found = await findInstalled(session, recipe);
  if (found.type !== 'installed') return found;
  return holding({ session, recipe }, async (held) => {
    const now = held.hold?.waited === true ? await findInstalled(held.session, recipe) : found;
    return now.type === 'installed' ? saveInstalled(held, now, options) : now;
  });
}

async function saveInstalled(
  { session, hold }: Held,
  found: Installed,
  options: SaveOptions,
): Promise<OutcomeDetail> {
  const { config } = session;
  const { recipe } = found.subject;
  const { present } = found;
  // The installer that has started us is not done. The run that started it will save.
  if (hold?.marked === 'under way') return { type: 'postponed' };
  const sign = await signer(config);

  return withDeadline(session, `Saving ${recipe.name}`, async (signal) => {
    const store = await session.store();
    const { subject, entry, misfit } = await findFitting(session, found.subject, {
      look: (at) => store.stat(at, { signal }),
    });
    const { key } = subject;
    const where = { key, url: store.url(key) };
    const ifExists = replacing(subject, options);
    if (ifExists === 'keep' && (entry ?? misfit) !== undefined) {
      session.emit({ type: 'step', text: `Cache already exists: ${where.url}` });
      await renewInUse({ session, subject, store, signal }, entry);
      return { type: 'exists', ...where };
    }
    if (options.verify !== false) await requireVerified({ session, hold }, subject, signal);

    const replaced = ifExists !== 'keep' && (await store.stat(key, { signal })) !== undefined;
    session.emit({ type: 'step', text: `Saving to cache: ${where.url}` });
    const began = performance.now();
    const packed = await upload({ session, subject, store, signal, ifExists, present, sign }, options);
    if (packed === undefined) {
      session.emit({ type: 'step', text: `Cache already exists: ${where.url}` });
      return { type: 'exists', ...where };
    }
    const { needs, ...work } = packed;
    const origin = await savedOrigin(config, subject);
    forgivingDisk(session, where.url, () => {
      clearRejected(config.projectDir, recipe.name);
      if (options.verify === false) return hold?.unmark();
      const { installSeconds = 0 } = options;
      confirm(subject, { ...work, origin, targets: present, installSeconds, needs });
    });
    session.emit({ type: 'step', text: 'Cache saved successfully' });
    const seconds = (performance.now() - began) / 1000;
    return { type: 'saved', replaced, ...work, seconds, ...where };
  });
}

interface Installed {
  type: 'installed';
  subject: Subject;
  /** The targets that exist: at least one. */
  present: string[];
}

/**
 * Finds what there is to save, without asking the store. Otherwise returns the outcome that says why there is
 * nothing.
 */
export async function findInstalled(session: Session, recipe: Recipe): Promise<Installed | OutcomeDetail> {
  const { config } = session;
  const off = whyOff(config, 'write');
  if (off !== undefined) return { type: 'off', reason: off };
  const subject = await identify(session, recipe);
  if (subject === undefined) return { type: 'no-lockfile', lockfiles: recipe.lockfiles };
  await requireStoreApart(session, recipe, subject.project);
  const targets = await recipe.targets(subject.project);
  const present = targets.filter((target) => isInstalled(join(config.projectDir, target), recipe));
  if (present.length > 0) {
    const { targetsToPack } = await import('../workspace/places/places.ts');
    const mayBeFiles = recipe.fileTargets === true;
    const entry = { projectDir: config.projectDir, targets: present, mayBeFiles };
    return { type: 'installed', subject, present: targetsToPack(entry) };
  }
  const elsewhere = recipe.lookElsewhere?.(subject.project)?.where;
  if (elsewhere === undefined && recipe.verifiesLockfile && (await isWholeWithNothing(session, subject)))
    return { type: 'nothing-needed' };
  return { type: 'nothing-installed', targets, ...(elsewhere === undefined ? {} : { elsewhere }) };
}

async function isWholeWithNothing(session: Session, subject: Subject): Promise<boolean> {
  const verdict = await withDeadline(session, `Verifying ${subject.recipe.name}`, (signal) =>
    verify(subject, signal),
  );
  return verdict.ok;
}

/**
 * A tree that may not be written to is saved all the same. It only lacks the receipt, so a restore here
 * fetches everything.
 */
function forgivingDisk({ emit }: Session, url: string, write: () => void): void {
  try {
    write();
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    emit({
      type: 'warning',
      message: `${url} was saved, but the receipt of it was not: ${error.message}`,
      ...(error.hint === undefined ? {} : { hint: error.hint }),
    });
  }
}

/**
 * `keep`, unless the user forces it, or an entry was found faulty here. Then exactly that object is replaced.
 */
function replacing({ project, recipe, key }: Subject, { force }: SaveOptions): WriteOptions['ifExists'] {
  if (force === true) return 'replace';
  const rejected = readRejected(project.dir, recipe.name);
  if (rejected?.key !== key) return 'keep';
  // The entry may only lack a group that was left out. Two machines would then replace each other's entries
  // for ever.
  const differs = rejected.leftOut !== undefined && rejected.leftOut !== recipe.leftOut?.(project);
  return differs ? 'keep' : { etag: rejected.etag, writeId: rejected.writeId };
}

async function requireVerified(
  { session, hold }: Held,
  subject: Subject,
  signal: AbortSignal,
): Promise<void> {
  const { recipe } = subject;
  if (hold?.marked === 'left' || (await isDistrusted(session.config, recipe))) {
    const why =
      hold?.marked === 'left'
        ? 'its last install did not end well'
        : 'it was restored from an entry that CACHE_VERIFY_KEY does not accept';
    throw new CacheError('VERIFY_FAILED', `${recipe.name} was not saved: ${why}`, {
      hint: `Run sandbox-cache ensure ${recipe.name}, which installs from nothing. After an install by hand: save --no-verify.`,
    });
  }
  const verified = await verify(subject, signal, { isThorough: true });
  if (verified.ok && verified.partial === undefined) return;
  if (verified.ok) {
    throw new CacheError('VERIFY_FAILED', `${recipe.name} was not saved: ${verified.partial}`, {
      hint: 'The installed packages are fine here, but others need more of them. Save from a whole checkout.',
    });
  }
  throw new CacheError('VERIFY_FAILED', `${recipe.name} was not saved: ${verified.reason}`, {
    hint: 'Install again, or save it all the same with --no-verify.',
  });
}

interface Uploading {
  session: Session;
  subject: Subject;
  store: Store;
  signal: AbortSignal;
  ifExists: WriteOptions['ifExists'];
  present: string[];
  sign: Sign | undefined;
}

/** @returns undefined if somebody else's entry came first */
async function upload(
  uploading: Uploading,
  options: SaveOptions,
): Promise<{ bytes: number; files: number; storedBytes: number; needs: string } | undefined> {
  const { session, subject, store, signal, ifExists, present, sign } = uploading;
  const { installSeconds = 0, steps, from } = options;
  const { config } = session;
  const { recipe } = subject;
  const seal = { keyDigest: subject.digest, recipe: recipe.name, runtime: subject.runtime, installSeconds };
  let compiled: readonly CompiledFile[] = [];
  const [{ pack }, source] = await Promise.all([
    import('../archive/pack/pack.ts'),
    sourceOf(session, subject, present),
  ]);
  // Stops packing if the upload ends early, and the upload if packing fails.
  const packing = pack(
    {
      ...source,
      compression: config.compression,
      level: config.level,
      seal,
      ...(sign === undefined ? {} : { sign }),
      signal,
      onProgress: (progress) =>
        session.emit({ type: 'progress', phase: 'upload', recipe: recipe.name, ...progress }),
      onCompiled: (files) => {
        compiled = files;
      },
    },
    from,
  );
  // Awaited below. If the upload fails first, its own error is the one to report.
  packing.summary.catch(() => {});
  const chunks = unchanged(packing.chunks, session, subject);
  try {
    // The tree has been walked by then. Metadata has to be known before an entry is sent.
    const first = await chunks.next();
    const needs = await needsMetadata(subject, compiled);
    const all = beginningWith(first, chunks);
    const outcome = await store.write(subject.key, bytesOf(all), {
      signal,
      ifExists,
      copies: from && { from: from.from, chunks: all },
      metadata: {
        'sandbox-cache-format': '1',
        ...digestMetadata(subject.digest),
        ...(await savingMetadata(sign, seal)),
        ...(await lineage(subject, { steps, sign, seal })),
        ...needs,
      },
    });
    if (outcome.type === 'exists') return undefined;
    if (outcome.type === 'saved') return { ...(await packing.summary), needs: needsIn(needs) };
    const text = `Nothing was copied from ${from?.from.key} (${outcome.reason}): sending all of it`;
    session.emit({ type: 'step', text });
  } finally {
    await chunks.return(undefined);
    session.emit({ type: 'progress-end', phase: 'upload', recipe: recipe.name });
  }
  return upload(uploading, { ...options, from: undefined });
}

async function lineage(
  subject: Subject,
  { steps, ...signing }: { steps: number | undefined; sign: Sign | undefined; seal: Seal },
): Promise<Record<string, string>> {
  if (steps === undefined) return {};
  const { lineageMetadata } = await import('../session/base/lineage.ts');
  return lineageMetadata(subject, { steps, ...signing });
}

async function* beginningWith<T>(first: IteratorResult<T>, rest: AsyncIterable<T>): AsyncGenerator<T> {
  if (first.done === true) return;
  yield first.value;
  yield* rest;
}

/** Yields the archive, but fails at its end if the lockfile has changed since it named the entry. */
async function* unchanged(
  body: AsyncIterable<Chunk>,
  { config }: Session,
  { recipe, project, digest }: Subject,
): AsyncGenerator<Chunk> {
  yield* body;
  if (keyDigest(readIngredients(config, recipe)) === digest) return;
  throw new CacheError(
    'SOURCE_CHANGED',
    `${project.lockfile} changed while ${recipe.name} was being packed`,
    {
      hint: 'Nothing was saved. Save again once the installer is done.',
    },
  );
}

function isInstalled(path: string, { fileTargets }: Recipe): boolean {
  try {
    const stat = statSync(path);
    return stat.isDirectory() || (fileTargets === true && stat.isFile());
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return false;
    throw error;
  }
}
