import { posix } from 'node:path';
import type { StoredMember, UnpackRoot } from '../archive/types.ts';
import type { Unpacker } from '../archive/unpack/unpack.ts';
import type { Recipe } from '../recipes/support/recipe.ts';
import type { OpenEntry } from '../store/store.ts';
import { hasLeftovers } from '../workspace/places/bays.ts';
import type { StagingOptions } from '../workspace/types.ts';
import { removeReceipts } from '../workspace/notes/receipt.ts';
import { lackedHere, needsIn } from './fit.ts';
import { type Held, tokensOf } from './hold.ts';
import type { Subject } from './identify.ts';
import { archiveChecks, leaveUnread, readEntry, type Reading } from './reading.ts';
import type { Session } from './session.ts';

/**
 * What it takes to place an entry. It is loaded and started while the store is still looking for the entry.
 */
export interface Preparation {
  unpacker: Promise<Unpacker>;
  staging: Promise<typeof import('../workspace/staging.ts')>;
  /** Ends the workers. Idempotent. */
  close(): void;
}

export function prepare(session: Session): Preparation {
  const unpacker = startWorkers(session);
  const staging = import('../workspace/staging.ts');
  // Errors are reported where the result is used. On a miss it is not used.
  for (const needed of [unpacker, staging]) needed.catch(() => {});
  return {
    unpacker,
    staging,
    close: () =>
      void unpacker.then(
        ({ close }) => close(),
        () => {},
      ),
  };
}

async function startWorkers({ config }: Session): Promise<Unpacker> {
  const [{ startUnpacker }, { availableCpus }] = await Promise.all([
    import('../archive/unpack/unpack.ts'),
    import('../archive/workers/cpus.ts'),
  ]);
  return startUnpacker(config.workers ?? availableCpus());
}

export interface Placing extends Held {
  subject: Subject;
  preparation: Preparation;
  signal: AbortSignal;
  /** The digest that the entry must have been made for, or its first 16 digits. */
  digest: string;
}

/** What an unpacked and committed entry held. */
export interface Placed {
  /** Relative to the project. */
  targets: string[];
  installSeconds: number;
  bytes: number;
  files: number;
  storedBytes: number;
  /** See `UnpackSummary`. */
  members: readonly StoredMember[];
  /** See `Receipt`. */
  needs: string;
}

/**
 * Unpacks an entry into staging, commits it, and then lets `accept` verify it and write the receipts, while
 * nobody else may restore the same targets. Nothing of the targets is touched before the commit.
 */
export async function place<T>(
  { session, hold, subject, preparation, signal, digest }: Placing,
  entry: OpenEntry,
  accept: (placed: Placed) => Promise<T>,
): Promise<T> {
  const { recipe, project } = subject;
  const [unpacker, { openStaging }] = await Promise.all([preparation.unpacker, preparation.staging]);
  const options = await stagingOptions(session, subject, signal);
  const staging = await openStaging(options);
  try {
    const roots = unpackRoots(session, recipe, staging.roots);
    const summary = await unpacker.unpack(entry.body, {
      compression: subject.compression,
      roots,
      ...(await archiveChecks(session, entry)),
      expected: { keyDigest: digest, recipe: recipe.name, runtime: subject.runtime },
      signal,
      onProgress: ({ bytes, files }) => {
        const { size: total } = entry.info;
        session.emit({ type: 'progress', phase: 'download', recipe: recipe.name, bytes, total, files });
      },
    });
    session.emit({ type: 'progress-end', phase: 'download', recipe: recipe.name });
    signal.throwIfAborted();
    const present = staging.roots.filter(({ dir }) =>
      roots.some((root) => root.dir === dir && summary.roots.includes(root.prefix)),
    );
    const targets = present.map(({ prefix }) => prefix);
    removeReceipts(project.dir, options.targets, recipe.marker);
    await staging.commit(targets);
    // The new tree contains nothing of the unfinished install, so its mark is removed, unless that installer
    // has started us.
    if (hold?.marked === 'left') hold.unmark();
    return await accept({ ...summary, targets, needs: needsIn(entry.metadata) });
  } finally {
    session.emit({ type: 'progress-end', phase: 'download', recipe: recipe.name });
    await staging.close();
  }
}

/**
 * Places an entry of the store, and begins again if it has to be read again.
 * @param put places what is given to it; it gets the workers to do it with
 * @returns `deleted` if the store has nothing under the key any more, or nothing that fits this machine
 */
export function placeStored<T>(
  placing: Placing & Reading,
  opened: OpenEntry,
  put: (placing: Placing, entry: OpenEntry) => Promise<T>,
): Promise<T | 'deleted'> {
  const { session, subject } = placing;
  let { preparation } = placing;
  return readEntry(placing, opened, async (entry) => {
    if (entry !== opened) {
      if ((await lackedHere(needsIn(entry.metadata), subject.project)) !== undefined) {
        await leaveUnread(entry);
        return 'deleted';
      }
      // An error has ended the workers.
      preparation = prepare(session);
    }
    try {
      return await put({ ...placing, preparation }, entry);
    } finally {
      preparation.close();
    }
  });
}

/** Finishes or clears what a killed run has left behind, if anything. */
export async function recoverLeftovers(
  session: Session,
  subject: Subject,
  signal: AbortSignal,
): Promise<void> {
  if (!hasLeftovers(subject.project.dir, subject.recipe.mainTarget)) return;
  const { clearLeftovers } = await import('../workspace/staging.ts');
  await clearLeftovers(await stagingOptions(session, subject, signal));
}

async function stagingOptions(
  session: Session,
  subject: Subject,
  signal: AbortSignal,
): Promise<StagingOptions> {
  const targets = await subject.recipe.targets(subject.project);
  return {
    projectDir: subject.project.dir,
    targets,
    mayBeFiles: subject.recipe.fileTargets === true,
    signal,
    tokens: tokensOf(session),
    onWait: (owner) =>
      session.emit({
        type: 'warning',
        message: `Waiting for another run at work on ${targets[0]}: ${owner}`,
      }),
    onWarning: (message, hint) => session.emit({ type: 'warning', message, hint }),
  };
}

/**
 * Archives of the old library hold one top folder, named after the last part of the directory: `bundle/…` for
 * vendor/bundle. They are accepted only under keys without a runtime, because theirs have none.
 */
export function unpackRoots(
  { config }: Session,
  { fileTargets }: Recipe,
  staged: readonly Pick<UnpackRoot, 'prefix' | 'dir'>[],
): UnpackRoot[] {
  const roots = staged.map((root) => ({ ...root, mayBeFile: fileTargets === true }));
  const [main] = staged;
  if (config.keyRuntime || main === undefined || !main.prefix.includes('/')) return roots;
  return [...roots, { prefix: posix.basename(main.prefix), dir: main.dir }];
}
