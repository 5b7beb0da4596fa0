/**
 * The tree that is being unpacked, as one worker knows it: checks names and makes directories when they are first needed,
 * remembers them after. Nothing here can lead through a symlink, because none is made before all directories and files are there.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { systemCode } from '../../errors.ts';
import { limit, refuse, takenError, writeError } from '../errors.ts';
import { checkedName, leadsToRoot, linkedPlace, outside, placeOf } from '../read/entry-names.ts';
import type { BinaryRoot } from '../workers/protocol.ts';
import { fsPath } from '../format/binary-string.ts';

/** Names are binary strings as they stand in the archive, places are absolute. All methods throw CacheError ARCHIVE_REFUSED, … */
export interface Tree {
  /** Where a file or a link goes; the directories that lead there are made. Only a file may take the place of a root. */
  place(path: string, kind: 'file' | 'link'): string;
  /**
   * The directory of a file at `target`, with a `/` at the end, where further names can be put without asking. Undefined: ask for
   * each, one of them may be a root, or this one is.
   */
  directoryOf(target: string): string | undefined;
  /**
   * Makes a directory that has an entry of its own. `exact`: its mode is the one asked for. Undefined for one above the roots:
   * there is nothing to make.
   */
  directory(path: string, mode: number): { target: string; exact: boolean } | undefined;
  /** Where the file is that a hard link names. */
  linked(link: { path: string; linkPath: string }): string;
}

/** What a directory gets that has no entry of its own, or is entered before its entry. */
export const IMPLIED_MODE = 0o755;
/** Names are forgotten past this many characters: a worker's memory is bounded, whatever the archive. */
const MEMO_CHARACTERS = 16 * 1024 * 1024;

export function createTree(roots: readonly BinaryRoot[], maxDirectories: number): Tree {
  /** Directories that exist, by their name: where they are, with a `/` at the end. */
  const known = new Map<string, string>();
  let characters = 0;
  let made = 0;
  /** Where a file may be that is a root itself, by its name. */
  const fileRoots = new Map(roots.filter((root) => root.mayBeFile).map(({ prefix, dir }) => [prefix, dir]));
  const fileTargets = new Set(fileRoots.values());
  const nested = roots.filter((root) => roots.some(({ prefix }) => root.prefix.startsWith(`${prefix}/`)));

  return {
    place(path, kind) {
      const cut = path.lastIndexOf('/');
      const base = path.slice(cut + 1);
      const plain =
        cut > 0 &&
        path[cut - 1] !== '/' &&
        base !== '' &&
        base !== '.' &&
        base !== '..' &&
        !base.includes('\0');
      if (nested.some(({ prefix }) => prefix === checkedName(path)))
        throw refuse(path, 'must be a directory');
      const dir = path.slice(0, cut);
      const place = plain ? known.get(dir) : undefined;
      if (place !== undefined) return place + base;
      const root = kind === 'file' ? fileRoots.get(path) : undefined;
      if (root !== undefined) return root;
      // At the top are only roots.
      if (!plain) throw outside(checkedName(path), path, roots);
      return enter(dir, path) + base;
    },

    directoryOf: (target) =>
      nested.length > 0 || fileTargets.has(target) ? undefined : target.slice(0, target.lastIndexOf('/') + 1),

    directory(path, mode) {
      const name = checkedName(path);
      const place = placeOf(name, roots);
      if (place === undefined) {
        if (leadsToRoot(name, roots)) return undefined;
        throw outside(name, path, roots);
      }
      if (known.has(name)) return { target: place.target, exact: false };
      if (name !== place.root.prefix) enter(name.slice(0, name.lastIndexOf('/')), path);
      // Its owner has to be able to fill it; the rest is for the end.
      const fresh = make(place.target, mode | 0o700, path);
      remember(name, place.target);
      return { target: place.target, exact: fresh && (mode & 0o700) === 0o700 };
    },

    linked: (link) => linkedPlace(link, roots),
  };

  /** Makes a directory and what leads to it, for the entry `path` in it. */
  function enter(dir: string, path: string): string {
    const name = checkedName(dir, path);
    const place = placeOf(name, roots);
    if (place === undefined) throw outside(name, path, roots);
    const { root } = place;
    // From the nearest directory that is known, or the root, down.
    let cut = name.length;
    while (cut > root.prefix.length && !known.has(name.slice(0, cut))) cut = name.lastIndexOf('/', cut - 1);
    if (!known.has(root.prefix)) makeImplied(root.prefix, root);
    while (cut < name.length) {
      const next = name.indexOf('/', cut + 1);
      cut = next === -1 ? name.length : next;
      makeImplied(name.slice(0, cut), root);
    }
    return remember(dir, place.target);
  }

  function makeImplied(name: string, root: BinaryRoot): void {
    const target = root.dir + name.slice(root.prefix.length);
    make(target, IMPLIED_MODE, name);
    remember(name, target);
  }

  /** Answers whether it was not there before. */
  function make(target: string, mode: number, path: string): boolean {
    // An entry a few bytes long can imply thousands of directories.
    if (++made > maxDirectories) throw limit(`more than ${maxDirectories} directories`, 'CACHE_MAX_FILES');
    try {
      mkdirSync(fsPath(target), mode);
      return true;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw writeError(path, error);
    }
    // Another worker's, or a file of the same name.
    if (!lstatSync(fsPath(target)).isDirectory())
      throw takenError(path, Buffer.from(target, 'latin1').toString(), 'is both a file and a directory');
    return false;
  }

  function remember(name: string, target: string): string {
    characters += name.length + target.length;
    if (characters > MEMO_CHARACTERS) {
      known.clear();
      characters = name.length + target.length;
    }
    const slashed = `${target}/`;
    known.set(name, slashed);
    return slashed;
  }
}
