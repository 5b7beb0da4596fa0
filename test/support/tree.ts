/** Directory trees: written down for comparison, and made from a seed. */
import { createHash } from 'node:crypto';
import {
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
  chmodSync,
  linkSync,
  lutimesSync,
} from 'node:fs';
import { join } from 'node:path';

export interface TreeEntry {
  type: 'file' | 'directory' | 'symlink' | 'other';
  /** Permission bits in octal: `755`; of a symlink always `777`. */
  mode: string;
  /** Whole microseconds since 1970: what a tar header with a pax record can say. */
  mtimeUs: string;
  /** Of a file. */
  size?: number;
  /** Of a file's bytes. */
  sha256?: string;
  /** Of a symlink. */
  target?: string;
  /** Of a file with several names: the first of them in this tree, in byte order. */
  sameFileAs?: string;
}

export interface SnapshotOptions {
  /** Paths, relative to the root, that are left out with all below them. */
  skip?: (path: string) => boolean;
  /** Directories' times change with every entry; many tests cannot care. @default true */
  directoryTimes?: boolean;
}

/** The same tree whenever it was installed. */
export function withoutTimes(tree: Record<string, TreeEntry>): Record<string, TreeEntry> {
  return Object.fromEntries(Object.entries(tree).map(([path, entry]) => [path, { ...entry, mtimeUs: '' }]));
}

/** The paths at which two trees differ, in order. */
export function differentPaths(a: Record<string, TreeEntry>, b: Record<string, TreeEntry>): string[] {
  const paths = [...new Set([...Object.keys(a), ...Object.keys(b)])].sort();
  return paths.filter((path) => JSON.stringify(a[path]) !== JSON.stringify(b[path]));
}

/** Every path below `root` in byte order; names that are not UTF-8 stand as their bytes in Latin-1 behind `bytes:`. */
export function snapshotTree(root: string, options: SnapshotOptions = {}): Record<string, TreeEntry> {
  const paths = listTree(Buffer.from(root), options).sort((a, b) => Buffer.compare(a, b));
  const firstNames = new Map<string, string>();
  const entries: Record<string, TreeEntry> = {};
  for (const path of paths) {
    const name = pathName(path);
    const full = Buffer.concat([Buffer.from(`${root}/`), path]);
    const stat = lstatSync(full, { bigint: true });
    const entry: TreeEntry = {
      type: stat.isFile()
        ? 'file'
        : stat.isDirectory()
          ? 'directory'
          : stat.isSymbolicLink()
            ? 'symlink'
            : 'other',
      mode: (stat.mode & 0o7777n).toString(8),
      mtimeUs: String(stat.mtimeNs / 1000n),
    };
    if (entry.type === 'directory' && options.directoryTimes === false) entry.mtimeUs = '-';
    if (entry.type === 'symlink') entry.target = readlinkSync(full, 'latin1');
    if (entry.type === 'file') {
      entry.size = Number(stat.size);
      entry.sha256 = createHash('sha256').update(readFileSync(full)).digest('hex');
      const id = `${stat.dev}:${stat.ino}`;
      const first = firstNames.get(id);
      if (first !== undefined) entry.sameFileAs = first;
      else if (stat.nlink > 1n) firstNames.set(id, name);
    }
    entries[name] = entry;
  }
  return entries;
}

function listTree(root: Buffer, options: SnapshotOptions, below: Buffer = Buffer.alloc(0)): Buffer[] {
  const folder = below.length === 0 ? root : Buffer.concat([root, Buffer.from('/'), below]);
  return readdirSync(folder, { encoding: 'buffer', withFileTypes: true }).flatMap((entry) => {
    const path = below.length === 0 ? entry.name : Buffer.concat([below, Buffer.from('/'), entry.name]);
    if (options.skip?.(pathName(path))) return [];
    return entry.isDirectory() ? [path, ...listTree(root, options, path)] : [path];
  });
}

function pathName(path: Buffer): string {
  const text = path.toString('utf8');
  return Buffer.from(text).equals(path) ? text : `bytes:${path.toString('latin1')}`;
}

export interface RandomTreeOptions {
  seed: number;
  /** @default 60 */
  files?: number;
  /** Of the largest file; sizes are spread evenly over the powers of two below. @default 65536 */
  maxSize?: number;
}

/** A tree with what trees really hold: odd modes and times, links of both kinds, empty files and folders, long and strange names. */
export function makeRandomTree(root: string, options: RandomTreeOptions): void {
  const { seed, files = 60, maxSize = 65_536 } = options;
  const random = randomSource(seed);
  const folders = [''];
  const written: string[] = [];
  const free = (): string => join(random.pick(folders), randomName(random));
  mkdirSync(root, { recursive: true });
  for (let count = 0; count < files; count++) {
    if (random.below(4) === 0) {
      const folder = free();
      mkdirSync(join(root, folder), { recursive: true });
      if (!folders.includes(folder)) folders.push(folder);
    }
    const name = `${free()}-${count}`;
    const path = join(root, name);
    const kind = random.below(12);
    if (kind === 0)
      symlinkSync(random.pick(['../x', 'nowhere', '/absolute/place', ...written.slice(-1)]), path);
    else if (kind === 1 && written.length > 0) linkSync(join(root, random.pick(written)), path);
    else {
      writeFileSync(path, random.bytes(random.below(2 ** random.below(Math.log2(maxSize) + 1))));
      chmodSync(path, random.pick([0o644, 0o755, 0o600, 0o444, 0o775]));
      written.push(name);
    }
    setTime(path, random);
  }
  // Deepest first: making an entry changes the time of the folder around it.
  for (const folder of [...folders].sort((a, b) => b.length - a.length)) {
    if (folder === '') continue;
    chmodSync(join(root, folder), random.pick([0o755, 0o775, 0o700]));
    setTime(join(root, folder), random);
  }
}

function setTime(path: string, random: RandomSource): void {
  const seconds = 1_000_000_000 + random.below(700_000_000) + random.below(1_000_000) / 1_000_000;
  if (lstatSync(path).isSymbolicLink()) lutimesSync(path, seconds, seconds);
  else utimesSync(path, seconds, seconds);
}

function randomName(random: RandomSource): string {
  const plain = Array.from({ length: 1 + random.below(12) }, () =>
    random.pick([...'abcdefghijklmnop_-.XYZ']),
  ).join('');
  const safe = plain.replace(/^\.+$/, 'dots');
  const kind = random.below(20);
  if (kind === 0) return `${safe} with spaces`;
  if (kind === 1) return `${safe}-ünï-日本`;
  if (kind === 2) return `${safe}\n'"$(x)*?`;
  if (kind === 3) return safe + 'long-'.repeat(35);
  return safe;
}

export interface RandomSource {
  /** A whole number from 0 to `limit` - 1. */
  below(limit: number): number;
  pick<T>(items: readonly T[]): T;
  bytes(count: number): Buffer;
}

/** The same numbers for the same seed (mulberry32). */
export function randomSource(seed: number): RandomSource {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return (value ^ (value >>> 14)) >>> 0;
  };
  const below = (limit: number): number => Math.floor((next() / 2 ** 32) * limit);
  return {
    below,
    pick: (items) => {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error('nothing to pick from');
      return item;
    },
    bytes: (count) => Buffer.from(Uint8Array.from({ length: count }, () => next() & 0xff)),
  };
}
