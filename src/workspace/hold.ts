/**
 * Keeps all other runs away from a recipe's targets, from the first look at them to the end of the save.
 *
 * The lease lies in the home of a restore (see places.ts), because every run that could get in the way looks
 * there. On a mounted volume the home is inside the target, and an installer that empties the target deletes
 * it. In that case a second lease is held in the project, and taken first. Containers that share only the
 * volume are not kept apart during an install.
 */
import { lstatSync, realpathSync } from 'node:fs';
import { dirname } from 'node:path';
import { CacheError } from '../errors.ts';
import { projectHome } from './places/bays.ts';
import { removeHidden } from './files/hidden.ts';
import { acquireLease, type Lease } from './lease/lease.ts';
import { readMark, removeMark, writeMark, type Marked } from './notes/mark.ts';
import { contains } from './files/mounts.ts';
import { makeParents, removeParents } from './files/parents.ts';
import { layOut, type Layout, type Targets } from './places/places.ts';
import type { StagingOptions } from './types.ts';

export interface HoldOptions extends Targets, Pick<StagingOptions, 'signal' | 'onWait' | 'tokens'> {
  /** Whether to wait for another run. If not, rejects with TARGET_BUSY. @default true */
  wait?: boolean;
}

export interface Hold {
  /** Whether another run had to end first: it may have done our work. */
  readonly waited: boolean;
  /**
   * The tokens of the leases. A process that is given them works under this hold, and does not wait for it.
   */
  readonly tokens: readonly string[];
  readonly layout: Layout;
  /** See mark.ts. */
  readonly marked: Marked;
  mark(): void;
  unmark(): void;
  /** Idempotent. */
  release(): void;
}

/**
 * @throws CacheError TARGET_BUSY, TARGET_REFUSED, TARGET_UNWRITABLE, DISK_FULL; the signal's reason; system
 *   errors
 */
export async function takeHold(options: HoldOptions): Promise<Hold> {
  const held: HeldHome[] = [];
  const release = (): void => {
    for (const home of held.splice(0).reverse()) leave(home);
  };
  try {
    if (isInTarget(layOut(options))) held.push(...(await holdProject(options)));
    const inner = await holdLayout(options);
    held.push(inner);
    const { home } = held[0] ?? inner;
    const tokens = held.map(({ lease }) => lease.token);
    return {
      waited: held.some(({ lease }) => lease.waited),
      tokens,
      layout: inner.layout,
      get marked() {
        return readMark(home, tokens);
      },
      mark: () => writeMark(home, tokens[0] ?? ''),
      unmark: () => removeMark(home),
      release,
    };
  } catch (error) {
    release();
    throw error;
  }
}

/** Whether a run is at work on the targets, or a dead one has left something. */
export function isAnythingThere(targets: Targets): boolean {
  const { home, places } = layOut(targets);
  const dirs = [outerHome(targets), home, ...places.map(({ bayDir }) => bayDir)];
  return dirs.some((dir) => lstatSync(dir, { throwIfNoEntry: false }) !== undefined);
}

/** A home, and the lease in it. */
export interface HeldHome {
  home: string;
  lease: Lease;
  /** The directories above the home that were made for it. */
  parents: string[];
}

export async function holdLayout(options: HoldOptions): Promise<HeldHome & { layout: Layout }> {
  for (;;) {
    const { home } = layOut(options);
    const held = await holdHome(home, options);
    // The run we waited for may have changed mounts or rights.
    const layout = layOut(options);
    if (layout.home === home) return { ...held, layout };
    leave(held);
  }
}

/** @returns no home if the project is read-only */
async function holdProject(options: HoldOptions): Promise<HeldHome[]> {
  try {
    return [await holdHome(outerHome(options), options)];
  } catch (error) {
    if (error instanceof CacheError && error.code === 'TARGET_UNWRITABLE') return [];
    throw error;
  }
}

async function holdHome(home: string, { signal, onWait, wait, tokens }: HoldOptions): Promise<HeldHome> {
  const parents = makeParents(dirname(home));
  try {
    const lease = await acquireLease(home, { signal, onWait, wait, tokens });
    return { home, lease, parents };
  } catch (error) {
    removeParents(parents);
    throw error;
  }
}

export function leave({ home, lease, parents }: HeldHome): void {
  lease.release();
  removeHidden(home);
  removeParents(parents);
}

function isInTarget({ home, places }: Layout): boolean {
  return places.some(({ path }) => contains(path, home));
}

function outerHome({ projectDir, targets }: Targets): string {
  return projectHome(realpathSync(projectDir), targets[0] ?? '');
}
