/**
 * The tree that is being unpacked, as one worker knows it. It checks names, makes directories when they are
 * first needed, and remembers them. No path here can lead through a symlink: symlinks are made after all
 * directories and files.
 */
import { lstatSync, mkdirSync } from 'node:fs';
import { systemCode } from '../../errors.ts';
import { limit, refuse, takenError, writeError } from '../errors.ts';
import { checkedName, leadsToRoot, linkedTarget, outside, entryTargetOf } from '../read/entry-names.ts';
import type { BinaryRoot } from '../workers/protocol.ts';
import { fsPath } from '../format/binary-string.ts';

/**
 * Names are binary strings as in the archive; targets are absolute paths.
 * All methods throw CacheError ARCHIVE_REFUSED, and ARCHIVE_LIMIT or what a failed system call means.
 */
export interface TargetTree {
  /**
   * Returns where a file or link goes, and makes the directories above it. Only a file may take the place of
   * a root.
   */
  place(path: string, kind: 'file' | 'link'): string;
  /**
   * The directory of the file at `target`, ending in `/`, if more files may go there without a call of
   * `place` for each. Undefined if a root is, or may be, among them.
   */
  directoryOf(target: string): string | undefined;
  /**
   * Makes a directory that has an entry of its own. Undefined for one above the roots, which is not ours to
   * make. `exact`: it has the mode that was asked for.
   */
  directory(path: string, mode: number): { target: string; exact: boolean } | undefined;
  /** Returns the path of the file that a hard link names. */
  linked(link: { path: string; linkPath: string }): string;
}

/** Mode of a directory that has no entry of its own, or whose entry comes after something inside it. */
export const IMPLIED_MODE = 0o755;
/** A worker forgets its directories past this many characters, so that no archive can fill its memory. */
const MEMO_CHARACTERS = 16 * 1024 * 1024;

export function createTargetTree(roots: readonly BinaryRoot[], maxDirectories: number): TargetTree {
  /** Paths of directories that exist, ending in `/`, by their names in the archive. */
  const known = new Map<string, string>();
  let characters = 0;
  let made = 0;
  /** Paths of the roots that may be a file, by their names in the archive. */
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
      // Nothing but roots may lie at the top.
      if (!plain) throw outside(checkedName(path), path, roots);
      return enter(dir, path) + base;
    },

    directoryOf: (target) =>
      nested.length > 0 || fileTargets.has(target) ? undefined : target.slice(0, target.lastIndexOf('/') + 1),

    directory(path, mode) {
      const name = checkedName(path);
      const place = entryTargetOf(name, roots);
      if (place === undefined) {
        if (leadsToRoot(name, roots)) return undefined;
        throw outside(name, path, roots);
      }
      if (known.has(name)) return { target: place.target, exact: false };
      if (name !== place.root.prefix) enter(name.slice(0, name.lastIndexOf('/')), path);
      // Its owner has to be able to fill it. The mode from the archive is set at the end.
      const fresh = make(place.target, mode | 0o700, path);
      remember(name, place.target);
      return { target: place.target, exact: fresh && (mode & 0o700) === 0o700 };
    },

    linked: (link) => linkedTarget(link, roots),
  };

  /** Makes a directory and those above it, because the entry `path` lies in it. */
  function enter(dir: string, path: string): string {
    const name = checkedName(dir, path);
    const place = entryTargetOf(name, roots);
    if (place === undefined) throw outside(name, path, roots);
    const { root } = place;
    // Downwards from the nearest directory that is known to exist, or from the root.
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

  /** @returns whether the directory is new */
  function make(target: string, mode: number, path: string): boolean {
    // A short entry can imply thousands of directories.
    if (++made > maxDirectories) throw limit(`more than ${maxDirectories} directories`, 'CACHE_MAX_FILES');
    try {
      mkdirSync(fsPath(target), mode);
      return true;
    } catch (error) {
      if (systemCode(error) !== 'EEXIST') throw writeError(path, error);
    }
    // Another worker has made it, or it is a file of the same name.
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
