/** Lease files as they lie in a home, and whether their owners live. */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  linkSync,
  openSync,
  readFileSync,
  readdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { systemCode } from '../errors.ts';
import { isOwner, isRunning, type Owner } from './owner.ts';

export interface SeenLease {
  file: string;
  generation: number;
  /** The file's whole content, random part included: tells one lease from a later one of the same name. */
  content: string;
  owner: Owner | undefined;
}

/** Newest first. */
export function readLeases(home: string): SeenLease[] {
  const leases: SeenLease[] = [];
  for (const file of readdirSync(home)) {
    const generation = Number(/^lease-(\d{1,9})\.json$/.exec(file)?.[1] ?? NaN);
    if (Number.isNaN(generation)) continue;
    try {
      const content = readFileSync(join(home, file), 'utf8');
      leases.push({ file, generation, content, owner: parseOwner(content) });
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
    }
  }
  return leases.sort((one, other) => other.generation - one.generation);
}

function parseOwner(content: string): Owner | undefined {
  try {
    const value = JSON.parse(content) as { owner?: unknown };
    return isOwner(value.owner) ? value.owner : undefined;
  } catch {
    return undefined;
  }
}

/** @returns undefined when an installer has wiped the home with the target that it is in */
export function newestLease(home: string): SeenLease | undefined {
  try {
    return readLeases(home)[0];
  } catch {
    return undefined;
  }
}

/** How long a lease may lack its content: it is written right after its creation. */
const UNWRITTEN_MS = 5000;

export interface Sighting {
  mtimeMs: number;
  /** On our own monotonic clock. */
  since: number;
}

interface Watch {
  staleMs: number;
  /** By the lease's content. */
  sightings: Map<string, Sighting>;
}

export function findAlive(home: string, leases: readonly SeenLease[], watch: Watch): SeenLease | undefined {
  return leases.find((lease) => {
    const running = lease.owner === undefined ? undefined : isRunning(lease.owner);
    return running ?? isBeating(home, lease, watch);
  });
}

/**
 * Ages are differences between times that the file system itself gave: clocks of containers may differ. A lease
 * whose time never changes while we look on is dead as well, whatever time it shows.
 */
function isBeating(
  home: string,
  { file, content, owner }: SeenLease,
  { staleMs, sightings }: Watch,
): boolean {
  const stat = statSync(join(home, file), { throwIfNoEntry: false });
  if (stat === undefined) return false;
  const { mtimeMs } = stat;
  const limit = owner === undefined ? UNWRITTEN_MS : staleMs;
  if (fileSystemTime(home) - mtimeMs > limit) return false;
  const now = performance.now();
  const last = sightings.get(content);
  if (last?.mtimeMs === mtimeMs) return now - last.since <= limit;
  sightings.set(content, { mtimeMs, since: now });
  return true;
}

function fileSystemTime(home: string): number {
  const path = join(home, `clock-${randomBytes(6).toString('hex')}`);
  const fd = openSync(path, 'wx', 0o600);
  try {
    return fstatSync(fd).mtimeMs;
  } finally {
    closeSync(fd);
    unlinkSync(path);
  }
}

/**
 * Creates the file with its content, in one step where the file system has links: a lease without an owner takes its time to die.
 * @returns undefined when it is there already
 */
export function createWhole(path: string, content: string): number | undefined {
  const draft = join(dirname(path), `draft-${randomBytes(6).toString('hex')}`);
  const fd = writeNew(draft, content);
  try {
    linkSync(draft, path);
    return fd;
  } catch (error) {
    closeSync(fd);
    const code = systemCode(error) ?? '';
    if (code === 'EEXIST') return undefined;
    if (!['EPERM', 'ENOSYS', 'ENOTSUP', 'EMLINK'].includes(code)) throw error;
  } finally {
    unlinkSync(draft);
  }
  try {
    return writeNew(path, content);
  } catch (error) {
    if (systemCode(error) === 'EEXIST') return undefined;
    throw error;
  }
}

/** @returns the open file */
function writeNew(path: string, content: string): number {
  const fd = openSync(path, 'wx+', 0o600);
  try {
    writeFileSync(fd, content);
    return fd;
  } catch (error) {
    closeSync(fd);
    unlinkSync(path);
    throw error;
  }
}
