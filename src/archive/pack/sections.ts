/**
 * Cuts a tree into sections where it changes by itself: between packages. A section is packed into members of
 * its own, so a package that did not change yields the members it yielded before, whatever became of others.
 *
 * Where a section ends is said by the names of packages, not by how much has come: of all the places that leave
 * it 2 to 8 MiB of tar, the one after the package whose name has the least hash. A package that grows then moves
 * no cut but, rarely, the next; where something was added or removed, the cuts find back to the old ones within a
 * few sections. Packages of 2 MiB and more are alone, and so is what belongs to no package: what an installer
 * writes for the whole tree (`.package-lock.json`, `.bin`) changes with every package.
 *
 * Where nobody says what a package is, and outside of packages, each directory counts as one.
 */
import {
  headerLength,
  paddedLength,
  TYPE_DIRECTORY,
  TYPE_HARDLINK,
  type TarEntry,
} from '../format/tar-header.ts';

const MEBIBYTE = 1024 * 1024;
/** Bytes of tar. Measured, see docs/archive-format.md. */
const LEAST = 2 * MEBIBYTE;
const MOST = 8 * MEBIBYTE;
/** From here a package is alone. Not above `MOST - LEAST`: there has to be a place to cut. */
const LARGE = 2 * MEBIBYTE;

/**
 * What belongs to no package comes behind the packages: it changes with every package, and at the end it is
 * near the index, which does so too. Directories that sections have in common come last, in a section of their
 * own. So no section is tied to another by them: each can stand anywhere before, and none changes because
 * another does.
 * @param entries a directory's files together, then its directories, each after all that is in it
 * @param packages as `PackOptions.packages`
 */
export function* inSections<E extends TarEntry>(
  entries: Iterable<E>,
  packages: readonly string[],
): Generator<E[]> {
  const shared: E[] = [];
  let loose: E[][] = [];
  let before = '';
  for (const { entries: section, isLoose } of cut(entries, packages)) {
    // What is below a directory is all together: if any of it was in an earlier section, then the last entry was.
    const isShared = ({ type, path }: E): boolean => type === TYPE_DIRECTORY && before.startsWith(path);
    shared.push(...section.filter(isShared));
    const own = section.filter((entry) => !isShared(entry));
    before = section.at(-1)!.path;
    if (own.length === 0) continue;
    if (isLoose && packages.length > 0) {
      loose.push(own);
      continue;
    }
    // A hard link comes after the file that it is another name of.
    const names = own.flatMap(({ type, linkPath }) => (type === TYPE_HARDLINK ? [linkPath] : []));
    if (names.length > 0 && loose.flat().some(({ path }) => names.includes(path))) {
      yield* loose;
      loose = [];
    }
    yield own;
  }
  yield* loose;
  if (shared.length > 0) yield shared;
}

interface Section<E> {
  entries: E[];
  /** Whether nothing of it belongs to a package. */
  isLoose: boolean;
}

function* cut<E extends TarEntry>(entries: Iterable<E>, packages: readonly string[]): Generator<Section<E>> {
  let units: Unit<E>[] = [];
  let length = 0;
  for (const unit of inUnits(entries, createNamer(packages))) {
    const alone = unit.length >= LARGE;
    if (units.length > 0 && (alone || units[0]!.isLoose !== unit.isLoose)) {
      yield joined(units);
      units = [];
      length = 0;
    }
    if (alone) {
      for (const block of inBlocks(unit.entries)) yield { entries: block, isLoose: unit.isLoose };
      continue;
    }
    units.push(unit);
    length += unit.length;
    while (length > MOST) {
      const section = units.splice(0, bestCut(units));
      for (const { length: bytes } of section) length -= bytes;
      yield joined(section);
    }
  }
  if (units.length > 0) yield joined(units);
}

/** Entries that follow each other and belong together: one package's, or one directory's. */
interface Unit<E> {
  entries: E[];
  length: number;
  hash: number;
  isLoose: boolean;
}

/** A directory is part of what came before it, which mostly is what it holds. */
function* inUnits<E extends TarEntry>(entries: Iterable<E>, nameOf: Namer): Generator<Unit<E>> {
  let unit: Unit<E> | undefined;
  let unitName = '';
  let dir: string | undefined;
  for (const entry of entries) {
    if (entry.type !== TYPE_DIRECTORY || unit === undefined) {
      const parent = entry.path.slice(0, entry.path.lastIndexOf('/') + 1);
      if (parent !== dir) {
        dir = parent;
        const { name, isLoose } = nameOf(parent);
        if (unit !== undefined && unitName !== name) {
          yield unit;
          unit = undefined;
        }
        unitName = name;
        unit ??= { entries: [], length: 0, hash: hashOf(name), isLoose };
      }
    }
    unit!.entries.push(entry);
    unit!.length += headerLength(entry) + paddedLength(entry.size);
  }
  if (unit !== undefined) yield unit;
}

/** How many units the next section has. Together they are longer than `MOST`, and none is as long as `LARGE`. */
function bestCut<E>(units: readonly Unit<E>[]): number {
  let best = 0;
  let length = 0;
  for (let n = 0; n < units.length; n++) {
    length += units[n]!.length;
    if (length > MOST) break;
    if (length >= LEAST && (best === 0 || units[n]!.hash < units[best - 1]!.hash)) best = n + 1;
  }
  return best;
}

/** All of them are loose, or none is. */
function joined<E>(units: readonly Unit<E>[]): Section<E> {
  return { entries: units.flatMap(({ entries }) => entries), isLoose: units[0]?.isLoose === true };
}

/** What is longer than any section is cut where it is full: there is no better place. */
function* inBlocks<E extends TarEntry>(entries: readonly E[]): Generator<E[]> {
  let block: E[] = [];
  let length = 0;
  for (const entry of entries) {
    block.push(entry);
    length += headerLength(entry) + paddedLength(entry.size);
    if (length < MOST) continue;
    yield block;
    block = [];
    length = 0;
  }
  if (block.length > 0) yield block;
}

/**
 * Of a directory, as `a/b/`: the innermost package that it is or lies in; else itself, and then it is loose.
 */
type Namer = (dir: string) => { name: string; isLoose: boolean };

function createNamer(packages: readonly string[]): Namer {
  if (packages.length === 0) return (dir) => ({ name: dir, isLoose: true });
  // The longest first, so that `node_modules/@*/*` goes before `node_modules/*`.
  const sources = packages
    .toSorted((a, b) => b.split('/').length - a.split('/').length)
    .map((pattern) => {
      // Patterns are text, paths are bytes.
      const binary = Buffer.from(pattern, 'utf8').toString('latin1');
      const segments = binary.split('/').map((segment) => {
        const source = segment.replace(/[.+?^${}()|[\]\\]/g, '\\$&').replace(/\*/g, '[^/]*');
        return segment.startsWith('*') ? `(?!\\.)${source}` : source;
      });
      return segments.join('/');
    });
  // Greedy, hence the innermost.
  const expression = new RegExp(`^(?:.*/)?(?:${sources.join('|')})/`, 's');
  return (dir) => {
    const name = expression.exec(dir)?.[0];
    return name === undefined ? { name: dir, isLoose: true } : { name, isLoose: false };
  };
}

/** FNV-1a of 32 bits, stirred (as MurmurHash3 ends): names that differ little are far apart. */
function hashOf(name: string): number {
  let hash = 0x811c9dc5;
  for (let n = 0; n < name.length; n++) hash = Math.imul(hash ^ name.charCodeAt(n), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (hash ^ (hash >>> 16)) >>> 0;
}
