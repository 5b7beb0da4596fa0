/**
 * Lets one run at a time work in a home. The home's newest lease file, `lease-<generation>.json`, names the
 * owner, who touches it every two seconds. Whoever finds the owner dead takes over by creating the next
 * generation. Only one run can create that file.
 *
 * Between judging an owner dead and creating the next generation, others may have done the same and even
 * finished. So the winner looks again, and gives up its lease if it finds one that it has not judged. A run
 * that loses its lease while it is suspended can do no harm: each of its moves begins or ends in its own
 * run's directory, which is gone by then.
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
  /** Unique to each run. It names the run's own directories. */
  readonly id: string;
  /** A process that is given this may work under the same lease: see `LeaseOptions.tokens`. */
  readonly token: string;
  /** Whether somebody else held it when we came. */
  readonly waited: boolean;
  /** Whether nobody has taken it over while this process was suspended. */
  isHeld(): Promise<boolean>;
  /** Lets the next run in. Idempotent. */
  release(): void;
}

export interface LeaseOptions {
  signal: AbortSignal;
  /** Called once when a live owner has to be waited for. */
  onWait?: ((owner: string) => void) | undefined;
  /** Reject with TARGET_BUSY in place of waiting. @default true */
  wait?: boolean | undefined;
  /**
   * Tokens of the leases that we work under: those of the run whose installer started this one, and those
   * that this run holds itself. If the home is held under one of them, this run neither waits for it nor
   * releases it.
   */
  tokens?: readonly string[] | undefined;
  /** How long an owner may be silent if its pid tells us nothing, milliseconds. @default 30000 */
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
        // Another run tried at the same moment. Wait for a random time, so that the two do not meet again.
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
      // The last owner has just removed the home, so try again.
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

/** @returns undefined if another run tried at the same moment */
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
    // The home may have been removed and made anew after its inode was read for the lease.
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

/** Shares a lease whose token we have. Releasing this one does nothing. */
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

/** Only real leases count for the order, but the file names of foreign ones are taken too. */
function nextGeneration(judged: readonly SeenLease[]): number {
  const newest = judged.find(({ token }) => token !== undefined);
  let generation = (newest?.generation ?? 0) + 1;
  while (judged.some((lease) => lease.generation === generation)) generation++;
  return generation;
}

/** Writes the first byte again, so that the file system itself sets the file's time. */
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
