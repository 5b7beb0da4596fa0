/**
 * Where each target really is and how a new tree gets there.
 *
 * Most targets are plain directories, and change places with the new tree by rename. Three kinds stay where
 * they are and only their children are moved: a mount point, a directory with mount points in it, and a
 * directory whose parent is not writable.
 *
 * Symlinks on the way to a target were made by whoever set up the project; an archive cannot make one there.
 * They are followed, as installers follow them, so `node_modules -> /cache/node_modules` keeps its layout.
 * But a restore replaces what it finds. So a target's own link is followed only to a directory that is
 * plainly meant for it: one of the same name, an empty one, or one with our receipt. It is never followed to
 * a directory that contains the project.
 *
 * A target may also be a single file, where the recipe says so. It is moved by rename as well, and a link to
 * a file is never followed. One target may be a link into another, as a workspace's `node_modules` may lead
 * to the root's. It is an alias, which is neither packed nor replaced.
 */
import {
  accessSync,
  constants,
  existsSync,
  lstatSync,
  readdirSync,
  readlinkSync,
  realpathSync,
  statSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { CacheError, systemCode } from '../../errors.ts';
import { INSIDE, bayDir, projectHome, type Bay } from './bays.ts';
import { targetError } from '../files/errors.ts';
import { contains, readMounts, type Mounts } from '../files/mounts.ts';
import { RECEIPT } from '../notes/receipt.ts';

export interface Place {
  /** As the entry names it, relative to the project. */
  target: string;
  /** Absolute, every symlink followed. May not exist yet. */
  path: string;
  /**
   * `rename`: the trees change places. `children`: the directory stays, and what is in it changes. `alias`:
   * it is a link into another target, and stays.
   */
  how: 'rename' | 'children' | 'alias';
  /** Children that stay: mount points, and `lost+found` in the root of a file system. */
  keep: readonly string[];
  bay: Bay;
  /** The directory that `bay` means. */
  bayDir: string;
}

export interface Layout {
  /**
   * Exists while a restore is under way, and holds the lease, the journal and staged trees. Every run that
   * could get in the way has the same home.
   */
  home: string;
  /** In the order of the targets. */
  places: Place[];
}

/** Which parts of a project an entry consists of. */
export interface Targets {
  /** Absolute. */
  projectDir: string;
  /** Relative to the project, `/`-separated, first the main one. */
  targets: readonly string[];
  /** Whether targets may be single files. @default false */
  mayBeFiles?: boolean;
}

/**
 * Finds out where each target is and where it is staged. Changes nothing.
 * @throws CacheError TARGET_REFUSED, TARGET_UNWRITABLE
 */
export function layOut(entry: Targets): Layout {
  const mounts = readMounts();
  const project = realpathSync(entry.projectDir);
  const spots = locateAll(project, entry).map((located) => survey(mounts, located));
  const [main] = spots;
  if (main === undefined) throw new Error('a restore without targets');
  const home = homeOf(mounts, project, main);
  const from = existsSync(home) ? home : dirname(home);
  const places = spots.map((spot): Place => {
    const { target, path, how, keep } = spot;
    const isHome =
      how === 'alias' || home === ownBay(spot) || (!spot.renamed && mounts.together(from, baseOf(spot)));
    const bay = isHome ? 'home' : how === 'children' ? 'inside' : 'beside';
    return { target, path, how, keep, bay, bayDir: bayDir(home, path, bay) };
  });
  return { home, places };
}

/**
 * Returns the targets to pack: all but aliases. Every target has to exist. Links are followed as a restore
 * follows them, so that nothing is packed that no restore would replace.
 * @throws CacheError TARGET_REFUSED
 */
export function targetsToPack(entry: Targets): string[] {
  const located = locateAll(realpathSync(entry.projectDir), entry);
  return located.filter(({ isAlias }) => !isAlias).map(({ target }) => target);
}

type Spot = Located & Pick<Place, 'how' | 'keep'>;

function ownBay({ path, how }: Pick<Spot, 'path' | 'how'>): string {
  return bayDir('', path, how === 'children' ? 'inside' : 'beside');
}

/**
 * The home is in the project if the project is writable and on the target's file system. If the target is a
 * volume or lies outside the project, the home is inside or beside the target, because other containers may
 * use the same target in other projects.
 */
function homeOf(mounts: Mounts, project: string, main: Spot): string {
  const inProject =
    contains(project, main.path) &&
    !main.renamed &&
    mounts.together(project, baseOf(main)) &&
    isWritable(project);
  return inProject ? projectHome(project, main.target) : ownBay(main);
}

/** The directory that a staged tree must be movable to. */
function baseOf({ how, path, anchor }: Spot): string {
  return how === 'children' ? path : anchor;
}

function survey(mounts: Mounts, located: Located): Spot {
  const { target, path, anchor, renamed } = located;
  if (located.isAlias) return { ...located, how: 'alias', keep: [] };
  if (anchor !== dirname(path) || !existsSync(path)) {
    if (!isWritable(anchor)) throw unwritable(anchor, target);
    return { ...located, how: 'rename', keep: [] };
  }
  const isMount = mounts.isMountPoint(path);
  const below = mounts.below(path);
  const isMovable = !isMount && !renamed && below.length === 0 && isWritable(anchor);
  if (isMovable) return { ...located, how: 'rename', keep: [] };
  if (located.isFile) throw isMount ? refused(path, target, 'is mounted') : unwritable(anchor, target);
  if (!isWritable(path)) throw unwritable(path, target);
  const deep = below.find((mount) => dirname(mount) !== path);
  if (deep !== undefined) {
    throw new CacheError(
      'TARGET_REFUSED',
      `${deep} is mounted deep inside ${target}: its content would be lost`,
      {
        hint: `Mount it at ${target} itself or at one of its direct children, or install without the cache.`,
      },
    );
  }
  return {
    ...located,
    how: 'children',
    keep: [...below.map((mount) => basename(mount)), ...(isMount ? [LOST_FOUND] : [])],
  };
}

/** In the root of every ext4 file system. */
const LOST_FOUND = 'lost+found';

interface Located {
  target: string;
  path: string;
  /** The deepest directory on the way to `path` that exists: its parent, unless that is missing too. */
  anchor: string;
  /** A symlink leads to it, and its own name is a different one. */
  renamed: boolean;
  /** It exists and is a regular file. */
  isFile: boolean;
  /** It is reached through its own link or one on the way, and lies in another target. */
  isAlias: boolean;
}

/** @throws CacheError TARGET_REFUSED when one lies in another without being a link */
function locateAll(project: string, { targets, mayBeFiles = false }: Targets): Located[] {
  const all = targets.map((target) => locate(project, target, mayBeFiles));
  const [main] = all;
  for (const one of all) {
    const isLinked = one.path !== join(project, one.target);
    one.isAlias = isLinked && one !== main && all.some((other) => holds(other, one));
  }
  const one = all.find((located) => all.some((other) => holds(located, other)));
  if (one === undefined) return all;
  const other = all.find((located) => holds(one, located))!;
  throw new CacheError('TARGET_REFUSED', `${other.target} lies in ${one.target} (${one.path})`, {
    hint: 'Directories of one entry must not contain one another: name the outer one only.',
  });
}

/** Whether `one` contains `other` and both would be replaced. */
function holds(one: Located, other: Located): boolean {
  return one !== other && !one.isAlias && !other.isAlias && contains(one.path, other.path);
}

function locate(project: string, target: string, mayBeFile: boolean): Located {
  const segments = target.split('/');
  const last = segments.pop();
  if (last === undefined || [...segments, last].some((segment) => ['', '.', '..'].includes(segment))) {
    throw new CacheError('TARGET_REFUSED', `"${target}" is not a directory in the project`, {
      hint: 'Name it relative to the project, like vendor/bundle.',
    });
  }
  let dir = project;
  for (const [index, segment] of segments.entries()) {
    const next = join(dir, segment);
    const found = look(next, target);
    if (found.type === 'nothing') {
      const path = join(next, ...segments.slice(index + 1), last);
      return { target, path, anchor: dir, ...PLAIN };
    }
    if (found.type === 'dangling') throw refused(next, target, 'is a symlink that leads nowhere');
    if (found.type === 'directory') dir = found.path;
  }
  const path = join(dir, last);
  const found = look(path, target, mayBeFile);
  if (found.type === 'nothing' || (found.type === 'directory' && found.path === path))
    return { target, path, anchor: dir, ...PLAIN };
  if (found.type === 'file') return { target, path, anchor: dir, ...PLAIN, isFile: true };
  const linked = found.type === 'dangling' ? danglingTarget(path, target) : found.path;
  if (contains(linked, project))
    throw refused(path, target, 'is a symlink to a directory that the project is in');
  const renamed = basename(linked) !== last;
  if (renamed && !isMeantForUs(linked)) {
    throw refused(
      path,
      target,
      `is a symlink to ${linked}, which has another name, is not empty and was not restored by us`,
    );
  }
  return { target, path: linked, anchor: dirname(linked), ...PLAIN, renamed };
}

const PLAIN = { renamed: false, isFile: false, isAlias: false };

/** `path` is the directory's real path. */
type Found =
  { type: 'nothing' } | { type: 'dangling' } | { type: 'file' } | { type: 'directory'; path: string };

function look(path: string, target: string, mayBeFile = false): Found {
  try {
    const found = lstatSync(path, { throwIfNoEntry: false });
    if (found === undefined) return { type: 'nothing' };
    if (found.isDirectory()) return { type: 'directory', path };
    if (mayBeFile && found.isFile()) return { type: 'file' };
    if (!found.isSymbolicLink()) throw refused(path, target, 'is not a directory');
    const real = statSync(path, { throwIfNoEntry: false });
    if (real === undefined) return { type: 'dangling' };
    if (!real.isDirectory()) throw refused(path, target, 'is a symlink to something that is not a directory');
    return { type: 'directory', path: realpathSync(path) };
  } catch (error) {
    throw targetError(error, `look at ${path}`);
  }
}

/** `node_modules -> /cache/node_modules` on the first start: the directory is still to be made. */
function danglingTarget(link: string, target: string): string {
  const to = resolve(dirname(link), readlinkSync(link));
  try {
    const path = join(realpathSync(dirname(to)), basename(to));
    if (basename(to) === basename(target) && lstatSync(path, { throwIfNoEntry: false }) === undefined)
      return path;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw targetError(error, `look at ${to}`);
  }
  throw refused(link, target, 'is a symlink that leads nowhere');
}

function isMeantForUs(dir: string): boolean {
  const names = readdirSync(dir).filter((name) => name !== LOST_FOUND);
  return names.length === 0 || names.includes(RECEIPT) || names.includes(INSIDE);
}

function isWritable(dir: string): boolean {
  try {
    accessSync(dir, constants.W_OK | constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function refused(path: string, target: string, why: string): CacheError {
  return new CacheError('TARGET_REFUSED', `${target} cannot be used: ${path} ${why}`, {
    hint: `Remove it, or let it lead to a directory named ${basename(target)}.`,
  });
}

function unwritable(dir: string, target: string): CacheError {
  return new CacheError('TARGET_UNWRITABLE', `Cannot restore ${target}: ${dir} may not be written to`, {
    hint: 'Run as the user that owns the directory, or mount it writable.',
  });
}
