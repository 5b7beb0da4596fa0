/**
 * The tree to pack, as the workers found it. Its names and numbers are stored compactly, because only this
 * grows with the tree (about 120 bytes for each entry). The order depends only on the tree: the files and
 * links of a directory in byte order, then its directories one after the other, each with all that is below
 * it, and last the directory itself.
 */
import { lstatSync, statSync, type BigIntStats } from 'node:fs';
import type { CompiledFile } from '../../compiled/compiled-file.ts';
import { CacheError } from '../../errors.ts';
import { TYPE_DIRECTORY, TYPE_FILE, TYPE_HARDLINK, TYPE_SYMLINK } from '../format/tar-header.ts';
import type { PackLimits } from './limits.ts';
import type { Pool } from '../workers/pool.ts';
import { sourceError } from './errors.ts';
import { ctimeUs, mtimeUs, S_IFDIR, S_IFLNK, typeBits } from './stat.ts';
import {
  CTIME,
  INODE,
  MODE,
  MTIME,
  SHARED,
  SIZE,
  STAT_FIELDS,
  type WalkReply,
  type SourceEntry,
} from '../workers/protocol.ts';
import { fsPath } from '../format/binary-string.ts';

export interface SourceOptions {
  /** Absolute, binary string. */
  base: string;
  /** Relative to `base`, binary strings. */
  roots: readonly string[];
  excludes: readonly string[];
  /** Stops the walk if the tree exceeds a limit. */
  limits: PackLimits;
  /** Whether to find the compiled files. */
  lookInside: boolean;
}

export interface SourceTree {
  roots: { path: string; stat: BigIntStats }[];
  /** By path. */
  dirs: Map<string, Listing>;
  compiled: CompiledFile[];
}

/** What a directory holds. */
export interface Listing {
  names: string[];
  stats: Float64Array;
  /** Inodes of the files that have several links, in order. */
  inodes: string[];
  linkTargets: string[];
}

/** How many entries a walk job lists before it returns the rest: some milliseconds of work. */
const WALK_BUDGET = 500;

/**
 * Walks in the pool.
 * @throws CacheError SOURCE_CHANGED, SOURCE_UNREADABLE, ARCHIVE_LIMIT
 */
export async function readSourceTree(
  pool: Pool,
  { base, roots, excludes, limits, lookInside }: SourceOptions,
): Promise<SourceTree> {
  const tree: SourceTree = {
    roots: outermost(roots).map((path) => ({ path, stat: statRoot(base, path) })),
    dirs: new Map(),
    compiled: [],
  };
  for (const { path, stat } of tree.roots) limits.addRoot(path, stat.isFile() ? Number(stat.size) : 0);
  const waiting = tree.roots.filter(({ stat }) => stat.isDirectory()).map(({ path }) => path);
  let running = 0;
  await new Promise<void>((resolve, reject) => {
    const handOut = (): void => {
      if (running === 0 && waiting.length === 0) return resolve();
      while (waiting.length > 0 && running < pool.capacity) {
        const share = Math.ceil(waiting.length / (pool.capacity - running));
        running++;
        pool
          .run({
            type: 'walk',
            base,
            dirs: waiting.splice(-share),
            excludes,
            budget: WALK_BUDGET,
            lookInside,
          })
          .then((reply) => {
            running--;
            addListings(tree, reply, limits);
            for (const dir of reply.rest) waiting.push(dir);
            tree.compiled.push(...reply.compiled);
            handOut();
          })
          .catch(reject);
      }
    };
    handOut();
  });
  return tree;
}

/** All entries, in an order that depends on the tree alone. */
export function* sourceEntries(tree: SourceTree): Generator<SourceEntry> {
  const firstPaths = new Map<string, string>();
  for (const root of tree.roots) {
    if (root.stat.isFile()) {
      yield rootFile(root);
      continue;
    }
    const stack: Visit[] = [
      { path: root.path, mode: Number(root.stat.mode), mtimeUs: mtimeUs(root.path, root.stat) },
    ];
    for (let dir = stack.pop(); dir !== undefined; dir = stack.pop()) {
      if (dir.below !== undefined) {
        const next = dir.below.pop();
        if (next === undefined) yield directoryEntry(dir);
        else stack.push(dir, next);
        continue;
      }
      const below: Visit[] = [];
      for (const entry of listedEntries(tree, dir.path)) {
        if (entry.type === TYPE_DIRECTORY) below.push(entry);
        else yield linked(entry, firstPaths);
      }
      stack.push({ ...dir, below: below.reverse() });
    }
  }
}

/** A directory on the way; `below` are those in it still to come, last first, once its files are done. */
interface Visit {
  path: string;
  mode: number;
  mtimeUs: number;
  below?: Visit[];
}

function directoryEntry({ path, mode, mtimeUs }: Visit): SourceEntry {
  const none = { linkPath: '', size: 0, ctimeUs: 0, inode: 0, hasMadeTime: false };
  return { ...none, type: TYPE_DIRECTORY, path: `${path}/`, mode: mode & 0o777, mtimeUs };
}

function rootFile({ path, stat }: SourceTree['roots'][number]): SourceEntry {
  return {
    type: TYPE_FILE,
    path,
    linkPath: '',
    mode: Number(stat.mode) & 0o777,
    size: Number(stat.size),
    mtimeUs: mtimeUs(path, stat),
    ctimeUs: ctimeUs(stat),
    inode: Number(stat.ino),
    hasMadeTime: false,
  };
}

type ListedEntry = SourceEntry & { sharedInode: string | undefined };

/** What is in one directory, in byte order. */
function listedEntries(tree: SourceTree, dir: string): ListedEntry[] {
  const listing = tree.dirs.get(dir);
  if (listing === undefined) throw new Error(`${dir} was not walked`);
  let inode = 0;
  let target = 0;
  const entries = listing.names.map((name, n): ListedEntry => {
    const field = (offset: number): number => listing.stats[n * STAT_FIELDS + offset]!;
    const mode = field(MODE);
    const type = typeBits(mode);
    const isLink = type === S_IFLNK;
    return {
      type: type === S_IFDIR ? TYPE_DIRECTORY : isLink ? TYPE_SYMLINK : TYPE_FILE,
      path: `${dir}/${name}`,
      linkPath: isLink ? listing.linkTargets[target++]! : '',
      mode: mode & 0o777,
      size: type === S_IFDIR || isLink ? 0 : field(SIZE),
      mtimeUs: field(MTIME),
      ctimeUs: field(CTIME),
      inode: field(INODE),
      hasMadeTime: false,
      sharedInode: (mode & SHARED) !== 0 ? listing.inodes[inode++] : undefined,
    };
  });
  // Binary strings compare as their bytes do.
  return entries.sort((a, b) => (a.path < b.path ? -1 : 1));
}

/** If a file has several names, the first one is the file, and every later one is a link to it. */
function linked(entry: ListedEntry, firstPaths: Map<string, string>): SourceEntry {
  if (entry.sharedInode === undefined) return entry;
  const first = firstPaths.get(entry.sharedInode);
  if (first === undefined) {
    firstPaths.set(entry.sharedInode, entry.path);
    return entry;
  }
  return { ...entry, type: TYPE_HARDLINK, linkPath: first, size: 0 };
}

function addListings(tree: SourceTree, reply: WalkReply, limits: PackLimits): void {
  const names = reply.names.split('\0');
  let from = 0;
  let inode = 0;
  let target = 0;
  reply.dirs.forEach((dir, n) => {
    const to = from + reply.counts[n]!;
    const stats = reply.stats.subarray(from * STAT_FIELDS, to * STAT_FIELDS);
    const shared = countModes(stats, (mode) => (mode & SHARED) !== 0);
    const links = countModes(stats, (mode) => typeBits(mode) === S_IFLNK);
    const listing = {
      names: names.slice(from, to),
      stats,
      inodes: reply.inodes.slice(inode, (inode += shared)),
      linkTargets: reply.linkTargets.slice(target, (target += links)),
    };
    tree.dirs.set(dir, listing);
    limits.addListing(dir, listing);
    from = to;
  });
}

function countModes(stats: Float64Array, matches: (mode: number) => boolean): number {
  let count = 0;
  for (let n = 0; n < stats.length; n += STAT_FIELDS) if (matches(stats[n + MODE]!)) count++;
  return count;
}

/** A directory that is given twice, or is below another given one, is packed once. */
function outermost(roots: readonly string[]): string[] {
  const unique = [...new Set(roots)];
  return unique.filter((root) => !unique.some((other) => root.startsWith(`${other}/`)));
}

/**
 * A root may be a symlink to a directory elsewhere, which is packed in its place. A link to a file is not
 * followed.
 */
export function statRoot(base: string, path: string): BigIntStats {
  const place = fsPath(`${base}/${path}`);
  try {
    const stat = lstatSync(place, { bigint: true });
    if (stat.isFile() || stat.isDirectory()) return stat;
    const linked = statSync(place, { bigint: true });
    if (linked.isDirectory()) return linked;
  } catch (error) {
    throw sourceError(path, error);
  }
  throw new CacheError('SOURCE_UNREADABLE', `${path} is no directory and no regular file`, {
    hint: 'Nothing else can be packed.',
  });
}
