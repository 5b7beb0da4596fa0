import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { CacheError } from '../errors.ts';
import { targetError } from './files/errors.ts';
import { IGNORE_FILE, makeHidden, removeHidden } from './files/hidden.ts';
import { type HeldHome, holdLayout, isAnythingThere, leave, takeHold } from './hold.ts';
import { removeJournal, writeJournal, type Journal } from './commit/journal.ts';
import type { Lease } from './lease/lease.ts';
import { clearTree } from './files/clear-tree.ts';
import { finish, prepareToFinish, swap, undo, unmark, type StagedTree } from './commit/moves.ts';
import { makeParents, removeParents } from './files/parents.ts';
import { layOut, type Layout, type Place } from './places/places.ts';
import { dropReceipts } from './notes/receipt.ts';
import { planChange, stripMarkers } from './commit/plan.ts';
import { recover, runName } from './commit/recovery.ts';
import type { Staging, StagingOptions } from './types.ts';

/**
 * Takes hold of the targets: waits for another restore of them, recovers from what dead ones have left, and
 * makes room for the new trees.
 * @throws CacheError TARGET_BUSY, TARGET_REFUSED, TARGET_UNWRITABLE, DISK_FULL; the signal's reason
 */
export async function openStaging(options: StagingOptions): Promise<Staging> {
  const { projectDir, targets } = options;
  try {
    const held = await holdLayout(options);
    try {
      await recover(held.layout, options);
      // An undone commit has put the old trees back, so look again.
      const run = new OpenStaging(layOut(options), held, options);
      await run.makeBays();
      return run;
    } catch (error) {
      leave(held);
      throw error;
    }
  } catch (error) {
    throw targetError(error, `prepare ${join(projectDir, targets[0] ?? '')}`);
  }
}

/**
 * Recovers from what dead runs have left, if anything, without staging anything: for runs that find no entry
 * to restore. Makes nothing where there is nothing, and does nothing where another run is at work.
 */
export async function clearLeftovers(options: StagingOptions): Promise<void> {
  if (!isAnythingThere(options)) return;
  try {
    const hold = await takeHold({ ...options, wait: false });
    try {
      await recover(hold.layout, options);
    } finally {
      hold.release();
    }
  } catch (error) {
    if (error instanceof CacheError && error.code === 'TARGET_BUSY') return;
    throw targetError(error, `clear what was left beside ${options.targets[0] ?? ''}`);
  }
}

class OpenStaging implements Staging {
  readonly roots: Staging['roots'];
  readonly waited: boolean;
  readonly #layout: Layout;
  readonly #lease: Lease;
  readonly #options: StagingOptions;
  /** Made for the home and the bays. */
  readonly #parents: string[];
  /** The commit could be neither finished nor undone. The next run needs what is staged. */
  #isHalfDone = false;
  #closing: Promise<void> | undefined;

  constructor(layout: Layout, { lease, parents }: HeldHome, options: StagingOptions) {
    this.#layout = layout;
    this.#lease = lease;
    this.#parents = parents;
    this.#options = options;
    this.waited = lease.waited;
    this.roots = layout.places.map((place, slot) => ({
      prefix: place.target,
      dir: join(this.#runDir(place), `new-${slot}`),
    }));
  }

  /** All or none. */
  async makeBays(): Promise<void> {
    try {
      mkdirSync(this.#homeRun, { mode: 0o700 });
      for (const place of this.#layout.places) {
        if (place.bay === 'beside') this.#parents.push(...makeParents(dirname(place.bayDir)));
        // The home is there already, but a run that was killed may have left it visible to git.
        makeHidden(place.bayDir);
        if (place.bay === 'home') continue;
        mkdirSync(this.#runDir(place), { mode: 0o700 });
      }
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async commit(present: readonly string[]): Promise<void> {
    const { places } = this.#layout;
    this.#options.signal.throwIfAborted();
    if (!(await this.#lease.isHeld())) {
      throw new CacheError(
        'TARGET_BUSY',
        `Another restore has taken over ${places[0]?.path} while this one was suspended`,
      );
    }
    const unknown = present.find((target) => !places.some((place) => place.target === target));
    if (unknown !== undefined) throw new Error(`${unknown} is not a target of this restore`);
    try {
      for (const { prefix, dir } of this.roots) if (present.includes(prefix)) stripMarkers(dir);
      const trees = places.map((place, slot) =>
        planChange(place, { slot, comes: present.includes(place.target), runDir: this.#runDir(place) }),
      );
      dropReceipts(this.#options.projectDir, this.#options.targets);
      await this.#carryOut(trees.filter(({ change }) => change.moves.length > 0));
    } catch (error) {
      throw targetError(error, `put ${present.join(', ')} in place`);
    }
  }

  close(): Promise<void> {
    this.#closing ??= this.#clear();
    return this.#closing;
  }

  async #carryOut(trees: StagedTree[]): Promise<void> {
    const journal: Journal = { version: 1, phase: 'swap', trees: trees.map(({ change }) => change) };
    writeJournal(this.#homeRun, journal);
    const parents: string[] = [];
    try {
      for (const { place } of trees) parents.push(...makeParents(dirname(place)));
      swap(trees);
      if (journal.trees.some(({ moves }) => moves.some(({ doomed }) => doomed))) {
        prepareToFinish(trees);
        writeJournal(this.#homeRun, { ...journal, phase: 'forward' });
        this.#isHalfDone = true;
      }
    } catch (error) {
      this.#takeBack(trees, parents);
      throw error;
    }
    if (this.#isHalfDone) await finish(trees);
    removeJournal(this.#homeRun);
    this.#isHalfDone = false;
  }

  #takeBack(trees: readonly StagedTree[], parents: readonly string[]): void {
    this.#isHalfDone = true;
    unmark(trees);
    undo(trees);
    removeParents(parents);
    removeJournal(this.#homeRun);
    this.#isHalfDone = false;
  }

  async #clear(): Promise<void> {
    const { home, places } = this.#layout;
    const others = new Set(places.map(({ bayDir }) => bayDir).filter((bay) => bay !== home));
    // The home goes last: it shows the next run that there is something to clear.
    const bays = [...others, home];
    const left: string[] = [];
    if (!this.#isHalfDone) {
      for (const bay of bays) {
        const run = join(bay, runName(this.#lease.id));
        const { onWarning } = this.#options;
        if (!(await clearTree(run, { onWarning, isLate: this.#isLate() }))) left.push(run);
      }
    }
    this.#lease.release();
    if (left.length > 0) return removeDetached(left, { bays, parents: this.#parents.toReversed() });
    for (const bay of bays) removeHidden(bay);
    removeParents(this.#parents);
  }

  /** Once interrupted, only so much time is left. */
  #isLate(): () => boolean {
    const { signal } = this.#options;
    let end: number | undefined;
    return () => signal.aborted && performance.now() > (end ??= performance.now() + INTERRUPTED_MS);
  }

  get #homeRun(): string {
    return join(this.#layout.home, runName(this.#lease.id));
  }

  #runDir({ bayDir }: Place): string {
    return join(bayDir, runName(this.#lease.id));
  }
}

/** An interrupted run must end within 2 s, and has other things to stop as well. */
const INTERRUPTED_MS = 600;

/** Clears up in a process that outlives this one. If that is killed too, the next run clears the rest. */
function removeDetached(
  trees: readonly string[],
  emptied: { bays: readonly string[]; parents: readonly string[] },
): void {
  const { bays, parents } = emptied;
  const child = spawn('/bin/sh', ['-c', REMOVE, 'sh', ...trees, '/', ...bays, '/', ...parents], {
    detached: true,
    stdio: 'ignore',
    env: { PATH: '/usr/bin:/bin' },
  });
  child.on('error', () => {});
  child.unref();
}

/**
 * The arguments are three lists, each ended by `/`: what is removed whole, what `makeHidden` has made, and
 * what is removed if it is empty.
 */
const REMOVE = `
while [ "$1" != / ]; do rm -rf -- "$1"; shift; done; shift
while [ "$1" != / ]; do
  [ "$(ls -A -- "$1")" != ${IGNORE_FILE} ] || rm -f -- "$1/${IGNORE_FILE}"
  rmdir -- "$1"; shift
done; shift
for dir; do rmdir -- "$dir"; done`;
