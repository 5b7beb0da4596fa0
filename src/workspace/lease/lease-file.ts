/**
 * Reads the lease files in a home, and tells whether their owners are alive.
 *
 * A lease records the directory that it was made in, by device and inode. A lease in any other directory came
 * there with a copy or a checkout. It is foreign: nobody holds it, even if its owner is alive.
 */
import { randomBytes } from 'node:crypto';
import {
  closeSync,
  fstatSync,
  linkSync,
  openSync,
  readdirSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { readSmallText } from '../../files/read-small-file.ts';
import { isOfThisBoot, isOwner, isRunning, type Owner } from './owner.ts';

export interface SeenLease {
  file: string;
  generation: number;
  /** The file's whole content, random part included: tells one lease from a later one of the same name. */
  content: string;
  /** Undefined while it is still being written, and if the content is not a lease. */
  owner: Owner | undefined;
  /** The random part. */
  token: string | undefined;
  isForeign: boolean;
}

/** Where a lease was made. Decimal numbers. */
export interface DirectoryId {
  device: string;
  inode: string;
}

export function directoryId(dir: string): DirectoryId {
  const { dev, ino } = statSync(dir, { bigint: true });
  return { device: String(dev), inode: String(ino) };
}

/** Whether a file of this name in a home is a lease, real or foreign. */
export function isLeaseName(name: string): boolean {
  return LEASE_NAME.test(name);
}

/** Every number of 15 digits is held exactly. */
const LEASE_NAME = /^lease-(\d{1,15})\.json$/;

/** A lease has some 250 bytes, most of them the host's name. */
const MAX_LEASE_BYTES = 4096;

/** Newest first. */
export function readLeases(home: string): SeenLease[] {
  const here = directoryId(home);
  const leases: SeenLease[] = [];
  for (const file of readdirSync(home)) {
    const generation = Number(LEASE_NAME.exec(file)?.[1] ?? NaN);
    if (Number.isNaN(generation)) continue;
    const content = readLease(join(home, file));
    if (content !== undefined) leases.push({ file, generation, ...parseLease(content, here) });
  }
  return leases.sort((one, other) => other.generation - one.generation);
}

/** Stands for anything but a small regular file. We did not write that, so it reads as a foreign lease. */
const NO_LEASE = '{}';

/** @returns undefined when it has just been removed */
export function readLease(path: string): string | undefined {
  try {
    return readSmallText(path, { maxBytes: MAX_LEASE_BYTES, followLinks: false });
  } catch (error) {
    switch (systemCode(error)) {
      case 'ENOENT':
        return undefined;
      case 'ENOTREG':
      case 'EFBIG':
      case 'ELOOP':
      case 'ENXIO':
        return NO_LEASE;
      default:
        throw error;
    }
  }
}

function parseLease(
  content: string,
  here: DirectoryId,
): Pick<SeenLease, 'content' | 'owner' | 'token' | 'isForeign'> {
  let value: unknown;
  try {
    value = JSON.parse(content);
  } catch {
    return { content, owner: undefined, token: undefined, isForeign: false };
  }
  const { owner, token, home } = (value ?? {}) as { owner?: unknown; token?: unknown; home?: unknown };
  if (!isOwner(owner) || typeof token !== 'string' || !isSameDirectory(home, here, owner))
    return { content, owner: undefined, token: undefined, isForeign: true };
  return { content, owner, token, isForeign: false };
}

/** On another machine a shared file system may have another device number. Its inode numbers are the same. */
function isSameDirectory(home: unknown, here: DirectoryId, owner: Owner): boolean {
  if (typeof home !== 'object' || home === null) return false;
  const { device, inode } = home as Partial<DirectoryId>;
  return inode === here.inode && (device === here.device || !isOfThisBoot(owner));
}

/** @returns undefined when an installer has wiped the home with the target that it is in */
export function newestLease(home: string): SeenLease | undefined {
  try {
    return readLeases(home).find(({ isForeign }) => !isForeign);
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

/**
 * Returns the newest lease whose owner is alive. Every call looks at all leases, so that many silent ones
 * take no longer to be given up than one.
 */
export function findAlive(home: string, leases: readonly SeenLease[], watch: Watch): SeenLease | undefined {
  const alive = leases.filter((lease) => {
    if (lease.isForeign) return false;
    const running = lease.owner === undefined ? undefined : isRunning(lease.owner);
    return running ?? isBeating(home, lease, watch);
  });
  return alive[0];
}

/**
 * Compares only times that the file system itself has set, because the clocks of containers may differ. A
 * lease whose time does not change while we watch is dead too, whatever that time is.
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
 * Creates the file with its content, in one step if the file system has hard links. A lease that is left
 * without content would hold up others until it counts as stale.
 * @returns the open file; undefined if the path exists already
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
