/**
 * One run at a time in a home. The home's newest lease file, `lease-<generation>.json`, names the owner, who
 * touches it every two seconds. A dead owner is succeeded by creating the next generation: O_EXCL lets one
 * win.
 *
 * Between judging an owner dead and creating the next generation, others may have done the same and even
 * finished. So the winner looks again, and steps back when it finds a lease that it has not judged. Whoever
 * loses a lease while it was suspended can do no harm: every path it moves from or to is in the directory of
 * its own run, which is gone.
 */
import { randomBytes } from 'node:crypto';
import { closeSync, existsSync, rmSync, unlinkSync, writeSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { CacheError, systemCode } from '../../errors.ts';
import { targetError } from '../files/errors.ts';
import { makeHidden, removeHidden } from '../files/hidden.ts';
import {
  createWhole,
  directoryId,
  findAlive,
  newestLease,
  readLease,
  readLeases,
  type SeenLease,
  type Sighting,
} from './lease-file.ts';
import { currentOwner, type Owner } from './owner.ts';

export interface Lease {
  /** Differs for every run there ever was: names the run's own directories. */
  readonly id: string;
  /** Whoever is given this may work under the same lease: see `LeaseOptions.tokens`. */
  readonly token: string;
  /** Whether somebody else held it when we came. */
  readonly waited: boolean;
  /** Whether nobody has taken it over while this process was suspended. */
  isHeld(): Promise<boolean>;
  /** Lets the next one in. Idempotent. */
  release(): void;
}

export interface LeaseOptions {
  signal: AbortSignal;
  /** Called once when a live owner has to be waited for. */
  onWait?: ((owner: string) => void) | undefined;
  /** Reject with TARGET_BUSY in place of waiting. @default true */
  wait?: boolean | undefined;
  /**
   * Of leases that we work under: those of a run whose installer started this one, and those that this run
   * holds itself. Where one of them is held there is nothing to wait for, and nothing to release.
   */
  tokens?: readonly string[] | undefined;
  /** How long an owner that pids tell nothing about may be silent, milliseconds. @default 30000 */
  staleMs?: number;
}

/** How often the owner shows that it lives, milliseconds. */
const HEARTBEAT_MS = 2000;
const STALE_MS = 30_000;
const POLL_MS = 100;

/**
 * Creates the home if need be.
 * @throws CacheError TARGET_BUSY when the deadline passes while another run holds it; TARGET_REFUSED,
 *   TARGET_UNWRITABLE, DISK_FULL; the signal's own reason when interrupted
 */
export async function acquireLease(home: string, options: LeaseOptions): Promise<Lease> {
  const { signal, onWait, staleMs = STALE_MS } = options;
  const sightings = new Map<string, Sighting>();
  let waitedFor: string | undefined;
  for (;;) {
    signal.throwIfAborted();
    try {
      makeHidden(home);
      const seen = readLeases(home);
      const alive = findAlive(home, seen, { staleMs, sightings });
      if (alive === undefined) {
        const lease = await succeed(home, seen, waitedFor !== undefined);
        if (lease !== undefined) return lease;
        // Somebody else did, too: come back at different times.
        await pause(10 + Math.random() * 40, signal);
        continue;
      }
      if (alive.token !== undefined && options.tokens?.includes(alive.token) === true)
        return share(home, alive);
      const owner = describe(alive.owner);
      if (options.wait === false) throw busy(home, owner);
      if (waitedFor === undefined) onWait?.(owner);
      waitedFor = owner;
    } catch (error) {
      // Its last owner has just removed it.
      const isOver = systemCode(error) === 'ENOENT' && existsSync(dirname(home));
      if (!isOver) {
        removeHidden(home);
        throw targetError(error, `set up ${home}`);
      }
    }
    await pause(POLL_MS, signal).catch((reason: unknown) => {
      if (reason instanceof CacheError && reason.code === 'TIMEOUT')
        throw busy(home, waitedFor ?? '', reason);
      throw reason;
    });
  }
}

/** @returns undefined when somebody else was there as well */
async function succeed(
  home: string,
  judged: readonly SeenLease[],
  waited: boolean,
): Promise<Lease | undefined> {
  const generation = nextGeneration(judged);
  const token = randomBytes(8).toString('hex');
  const path = join(home, `lease-${generation}.json`);
  const made = directoryId(home);
  const content = `${JSON.stringify({ owner: currentOwner(), token, home: made })}\n`;
  const fd = createWhole(path, content);
  if (fd === undefined) return undefined;
  const drop = (): void => {
    closeSync(fd);
    try {
      if (readLease(path) === content) unlinkSync(path);
    } catch {
      // Gone already, or no longer ours to remove.
    }
  };
  try {
    const others = readLeases(home).filter((lease) => lease.content !== content);
    const isNew = others.some((other) => !judged.some(({ content: known }) => known === other.content));
    // The home that the lease names may have gone, and another one been made, before the lease was in it.
    if (isNew || directoryId(home).inode !== made.inode) {
      drop();
      return undefined;
    }
    for (const other of others) rmSync(join(home, other.file), { recursive: true, force: true });
  } catch (error) {
    drop();
    throw error;
  }
  const heartbeat = setInterval(() => beat(fd), HEARTBEAT_MS);
  heartbeat.unref();
  let released = false;
  return {
    id: `${generation}-${token}`,
    token,
    waited,
    isHeld: async () => !released && isNewest(home, content),
    release: () => {
      if (released) return;
      released = true;
      clearInterval(heartbeat);
      drop();
    },
  };
}

/** The lease of somebody else whose token we have. */
function share(home: string, { generation, token = '', content }: SeenLease): Lease {
  return {
    id: `${generation}-${token}-${randomBytes(4).toString('hex')}`,
    token,
    waited: false,
    isHeld: () => isNewest(home, content),
    release: () => {},
  };
}

async function isNewest(home: string, content: string): Promise<boolean> {
  // A rival that is about to step back may be seen for a moment.
  for (let attempt = 0; attempt < 5; attempt++) {
    const newest = newestLease(home);
    if (newest === undefined) return false;
    if (newest.content === content) return true;
    await sleep(50);
  }
  return false;
}

/** Only real leases have a part in the order, but the names of others are taken too. */
function nextGeneration(judged: readonly SeenLease[]): number {
  const newest = judged.find(({ token }) => token !== undefined);
  let generation = (newest?.generation ?? 0) + 1;
  while (judged.some((lease) => lease.generation === generation)) generation++;
  return generation;
}

/** Writes its first byte anew: then the time is the file system's own. */
function beat(fd: number): void {
  try {
    writeSync(fd, '{', 0);
  } catch {
    // The next one may succeed; an owner on the same machine is known by its pid anyway.
  }
}

async function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(milliseconds, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}

function describe(owner: Owner | undefined): string {
  if (owner === undefined) return 'an unknown process';
  return `process ${owner.pid} on ${owner.host}`;
}

function busy(home: string, owner: string, cause?: unknown): CacheError {
  return new CacheError('TARGET_BUSY', `Another run is still at work here (${owner}, see ${home})`, {
    hint: 'Wait for it, or end it: the next run clears what it leaves.',
    cause,
  });
}
