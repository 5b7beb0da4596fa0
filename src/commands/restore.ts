import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { EXTENSIONS } from '../archive/types.ts';
import { tellOfBackgroundFailure } from '../session/background-failure.ts';
import { CacheError } from '../errors.ts';
import { oldLibraryKey } from '../key.ts';
import type { Recipe, Verdict } from '../recipes/support/recipe.ts';
import type { EntryInfo, OpenEntry, Store } from '../store/store.ts';
import type { Rejected } from '../workspace/notes/rejected.ts';
import { findFitting, lackedHere, needsIn } from '../session/fit.ts';
import { type Held, holding } from '../session/hold.ts';
import { identify, type Subject } from '../session/identify.ts';
import { confirm, isInPlace, restoredOrigin } from '../session/in-place.ts';
import type { OutcomeDetail, Work } from '../session/outcome.ts';
import { type Older, olderEntries } from '../session/older-entries.ts';
import { requireStoreApart } from '../session/overlap.ts';
import {
  place,
  type Placed,
  placeStored,
  type Preparation,
  prepare,
  recoverLeftovers,
} from '../session/place.ts';
import { isEntryError, leaveUnread } from '../session/reading.ts';
import { beginRenewing, patienceAfter, type Renewal } from '../session/renewing.ts';
import { entryUrl, type Session, whyOff } from '../session/session.ts';
import { signer } from '../session/signing.ts';
import { verify } from '../session/verify.ts';
import { withDeadline } from '../session/deadline.ts';

export interface RestoreOptions {
  /** Take the newest older entry of the same recipe and runtime when there is no exact one. */
  fallback?: boolean;
  /** Delete an entry whose bytes or whose tree fail their checks. */
  evict?: boolean;
  /** Restore it even if the receipts say that it is in place. */
  again?: boolean;
}

/** Puts the entry that the lockfile asks for in place, verified, or leaves everything as it was. */
export async function restore(
  session: Session,
  recipe: Recipe,
  options: RestoreOptions = {},
): Promise<OutcomeDetail> {
  // Checked first: entrypoints call this on every start, and without a store there is nothing to work out.
  const off = whyOff(session.config, 'read');
  if (off !== undefined) return { type: 'off', reason: off };
  tellOfBackgroundFailure(session, recipe);
  const identifying = identify(session, recipe);
  if (isLikelyToFetch(session, recipe)) loadStore(session);
  const subject = await identifying;
  if (subject === undefined) return { type: 'no-lockfile', lockfiles: recipe.lockfiles };
  if (options.again !== true && (await isInPlace(session, subject))) return leaveInPlace(session, subject);
  loadStore(session);
  await requireStoreApart(session, recipe, subject.project);
  return holding({ session, recipe }, async (held) => {
    if (held.hold?.waited !== true) return fetch(held, subject, options);
    // The run that we waited for may have restored or installed, and changed the lockfile as well.
    const now = await identify(held.session, recipe);
    if (now === undefined) return { type: 'no-lockfile', lockfiles: recipe.lockfiles };
    if (await isInPlace(held.session, now)) return leaveInPlace(held.session, now);
    return fetch(held, now, options);
  });
}

async function leaveInPlace(session: Session, subject: Subject): Promise<OutcomeDetail> {
  const { recipe, key } = subject;
  await withDeadline(session, `Restoring ${recipe.name}`, (signal) =>
    recoverLeftovers(session, subject, signal),
  );
  const elsewhere = recipe.lookElsewhere?.(subject.project);
  if (elsewhere !== undefined) {
    const url = entryUrl(session.config, key);
    return { type: 'unverified', reason: elsewhere.reason, blame: 'machine', key, url };
  }
  session.emit({ type: 'step', text: `Already in place: ${key}` });
  return { type: 'in-place', key };
}

async function fetch(
  { session, hold }: Held,
  subject: Subject,
  options: RestoreOptions,
): Promise<OutcomeDetail> {
  const { recipe, key } = subject;
  return withDeadline(session, `Restoring ${recipe.name}`, async (signal) => {
    const [store, { containerFor }] = await Promise.all([
      session.store(),
      import('../archive/format/containers.ts'),
    ]);
    // Fails if this Node has no zstd. Otherwise every run would end as a miss that nobody could explain.
    containerFor(subject.compression);
    session.emit({ type: 'step', text: `Looking up ${store.url(key)}` });
    const opening = findFitting(session, subject, {
      look: (at) => store.open(at, { signal }),
      pass: leaveUnread,
    });
    const preparation = prepare(session);
    try {
      const { subject: here, entry } = await opening;
      return await restoreFrom({ session, hold, subject: here, store, preparation, signal, options }, entry);
    } finally {
      preparation.close();
    }
  });
}

/** @param exact the entry under the exact key; undefined: there is none */
async function restoreFrom(restoring: Restoring, exact: OpenEntry | undefined): Promise<OutcomeDetail> {
  const { session, subject, store, signal, options } = restoring;
  const { recipe, key } = subject;
  const entry = exact ?? (await openOld(restoring));
  if (entry !== undefined) {
    session.emit({ type: 'step', text: hitLine(entry) });
    return restoreEntry(restoring, entry);
  }
  session.emit({ type: 'step', text: `Cache miss for ${recipe.name} (${subject.hash})` });
  const base = options.fallback === true ? await restoreFallback(restoring) : undefined;
  if (base !== undefined) return base;
  await recoverLeftovers(session, subject, signal);
  const advice = recipe.advice?.(subject.project);
  if (advice !== undefined) session.emit({ type: 'warning', message: advice.message, hint: advice.hint });
  return { type: 'miss', key, url: store.url(key) };
}

/**
 * What the old shell library saved: it put its entries elsewhere under the prefix. Only where keys are its
 * keys.
 */
async function openOld({ session, subject, store, signal }: Restoring): Promise<OpenEntry | undefined> {
  const { keyRuntime, prefix } = session.config;
  if (keyRuntime) return undefined;
  const { recipe, digest, compression } = subject;
  const extension = EXTENSIONS[compression];
  const key = oldLibraryKey({ prefix, recipe: recipe.name, digest, extension });
  session.emit({ type: 'step', text: `Looking up ${store.url(key)}` });
  return store.open(key, { signal });
}

/** Found without asking an interpreter for its version, which takes as long as loading the store. */
function isLikelyToFetch({ config }: Session, { mainTarget, lockfiles }: Recipe): boolean {
  const exists = (path: string): boolean => existsSync(join(config.projectDir, path));
  return !exists(mainTarget) && lockfiles.some(exists);
}

/** The error is reported where the store is used. */
function loadStore(session: Session): void {
  session.store().catch(() => {});
}

interface Restoring extends Held {
  subject: Subject;
  store: Store;
  preparation: Preparation;
  signal: AbortSignal;
  options: RestoreOptions;
}

async function restoreEntry(restoring: Restoring, entry: OpenEntry): Promise<OutcomeDetail> {
  const { session, subject, store } = restoring;
  const { recipe, project, key } = subject;
  const where = { key, url: store.url(key) };
  const began = performance.now();
  let renewal: Renewal | undefined;
  const accept = async (placed: Placed, { info, from }: OpenEntry): Promise<OutcomeDetail> => {
    session.emit({ type: 'step', text: `Verifying ${recipe.name}` });
    const verified = await verify(subject, restoring.signal);
    if (!verified.ok) {
      const { reason, blame } = verified;
      const evicted = await rejectUnverified(restoring, info, verified);
      return { type: 'unverified', reason: `${reason}${evicted}`, blame, ...where };
    }
    renewal = beginRenewing(restoring, info);
    // An installer has started us, and will change the tree.
    if (restoring.hold?.marked !== 'under way')
      confirm(subject, { ...placed, origin: await restoredOrigin(session.config) });
    const elsewhere = recipe.lookElsewhere?.(project);
    if (elsewhere !== undefined)
      return { type: 'unverified', reason: elsewhere.reason, blame: 'machine', ...where };
    session.emit({ type: 'step', text: 'Cache restored successfully' });
    const { installSeconds } = placed;
    return { type: 'restored', from, ...work(placed, began), installSeconds, ...where };
  };
  const outcome = await placeEntry({ ...restoring, digest: subject.digest }, entry, accept);
  await renewal?.end(patienceAfter(performance.now() - began));
  return outcome === 'deleted' ? missAfterAll(restoring) : outcome;
}

/** How many older entries are tried, one after the other. */
const MOST_BASES = 3;

/**
 * Finds a base for the install. If only signed entries count, one that fails its checks is skipped. Otherwise
 * whoever may write could turn all fallbacks off with it.
 * @returns undefined if there is none
 */
async function restoreFallback(restoring: Restoring): Promise<OutcomeDetail | undefined> {
  const { session } = restoring;
  const { verifyKey } = session.config;
  const older = await olderEntries(restoring);
  for (const [n, candidate] of older.slice(0, MOST_BASES).entries()) {
    // Workers cannot be used again after an error.
    const preparation = n === 0 ? restoring.preparation : prepare(session);
    try {
      const outcome = await restoreOlder({ ...restoring, preparation }, candidate);
      if (outcome !== undefined) return outcome;
    } catch (error) {
      if (verifyKey === undefined || !isEntryError(error)) throw error;
      session.emit({ type: 'warning', message: `${candidate.info.key} is no base: ${error.message}` });
    } finally {
      preparation.close();
    }
  }
  return undefined;
}

/** Puts an older entry in place, without a receipt. @returns undefined if somebody has deleted it */
async function restoreOlder(restoring: Restoring, older: Older): Promise<OutcomeDetail | undefined> {
  const { session, subject, store, signal } = restoring;
  const { key } = subject;
  const entry = await store.open(older.info.key, { signal });
  if (entry === undefined) return undefined;
  const lacked = await lackedHere(needsIn(entry.metadata), subject.project);
  if (lacked !== undefined) {
    session.emit({ type: 'step', text: `${older.info.key} needs ${lacked}, which this machine lacks` });
    await leaveUnread(entry);
    return undefined;
  }
  const where = { key: older.info.key, url: store.url(older.info.key) };
  session.emit({ type: 'step', text: `Falling back to ${where.url}` });
  const began = performance.now();
  const accept = async (placed: Placed, { from }: OpenEntry): Promise<OutcomeDetail> => ({
    type: 'fallback',
    from,
    wanted: key,
    ...work(placed, began),
    ...where,
  });
  const outcome = await placeEntry({ ...restoring, digest: older.digest }, entry, accept);
  return outcome === 'deleted' ? undefined : outcome;
}

/** Places an entry; one with an error of its own is rejected. */
function placeEntry(
  restoring: Restoring & { digest: string },
  opened: OpenEntry,
  accept: (placed: Placed, entry: OpenEntry) => Promise<OutcomeDetail>,
): Promise<OutcomeDetail | 'deleted'> {
  return placeStored(restoring, opened, (placing, entry) =>
    rejectingFaulty(restoring, entry, () => place(placing, entry, (placed) => accept(placed, entry))),
  );
}

function work({ bytes, files, storedBytes }: Placed, began: number): Work {
  return { bytes, files, storedBytes, seconds: (performance.now() - began) / 1000 };
}

function hitLine({ from }: OpenEntry): string {
  return from === 's3' ? 'Cache hit! Downloading from S3...' : 'Cache hit! Reading from the local cache...';
}

/** The entry was deleted after it was found, and what was prepared for it is used up. */
async function missAfterAll(restoring: Restoring): Promise<OutcomeDetail> {
  const preparation = prepare(restoring.session);
  try {
    return await restoreFrom({ ...restoring, preparation }, undefined);
  } finally {
    preparation.close();
  }
}

async function rejectingFaulty<T>(
  restoring: Restoring,
  entry: OpenEntry,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    // A damaged copy says nothing about its original.
    if (entry.dropCopy !== undefined || !isEntryError(error)) throw error;
    const { code, message, hint, cause } = error;
    const evicted = await reject(restoring, entry.info, { reason: message });
    throw new CacheError(code, `${message}${evicted}`, { ...(hint === undefined ? {} : { hint }), cause });
  }
}

/** Like `reject`, for a tree that failed its verification. */
async function rejectUnverified(
  restoring: Restoring,
  entry: EntryInfo,
  { reason, blame }: Verdict & { ok: false },
): Promise<string> {
  if (blame === 'machine') return '';
  const { recipe, project } = restoring.subject;
  const leftOut = blame === 'settings' ? recipe.leftOut?.(project) : undefined;
  return reject(restoring, entry, leftOut === undefined ? { reason } : { reason, leftOut });
}

/**
 * Notes a bad entry, so that the next save here replaces exactly that object; `--evict` deletes it. The
 * caller reports what is wrong with the entry. An error in here is only a warning.
 * @returns what `--evict` did, to add to the report: `; the entry was deleted`. Empty if it did nothing,
 *   which a warning explains.
 */
async function reject(
  { session, subject, store, options }: Restoring,
  entry: EntryInfo,
  fault: Pick<Rejected, 'reason' | 'leftOut'>,
): Promise<string> {
  const { key, etag, writeId } = entry;
  const url = store.url(key);
  try {
    const { noteRejected } = await import('../workspace/notes/rejected.ts');
    // An entry that was only meant as a base has a key that no save here writes.
    if (key === subject.key)
      noteRejected(subject.project.dir, subject.recipe.name, { key, etag, writeId, ...fault });
  } catch (error) {
    session.emit({
      type: 'warning',
      message: `The faulty entry ${url} could not be noted: ${textOf(error)}`,
    });
  }
  if (options.evict !== true) return '';
  const kept = (why: string): string => {
    session.emit({ type: 'warning', message: `${url} was not deleted: ${why}` });
    return '';
  };
  const off = whyOff(session.config, 'write');
  if (off !== undefined) return kept(off);
  // The next machine may leave out something else, and its entry would be deleted in turn.
  if (fault.leftOut !== undefined) return kept('what it lacks may have been left out on purpose');
  try {
    // The reason may be a key that does not form a pair.
    await signer(session.config);
    switch (await store.remove(key, { etag, writeId, signal: session.signal })) {
      case 'removed':
        return '; the entry was deleted';
      case 'absent':
        return '; the entry was gone already';
      case 'another':
        return kept('somebody has replaced it meanwhile');
    }
  } catch (error) {
    return kept(textOf(error));
  }
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
