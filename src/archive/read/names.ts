/**
 * Finds entries of an archive that are in each other's way, without a disk. Unpacking meets such an entry as
 * a file that exists already; listing meets it here.
 */
import { limit, refuse } from '../errors.ts';
import { checkedName, leadsToRoot, linkedTarget, outside, entryTargetOf } from './entry-names.ts';
import type { ReadEntry } from './tar-entries.ts';
import type { BinaryRoot } from '../workers/protocol.ts';

export interface NamesOptions {
  /** Undefined if they are not known: any name is allowed then. */
  roots: readonly BinaryRoot[] | undefined;
  /** Most directories allowed. Those that names only imply count too. */
  maxDirectories: number;
}

export interface Names {
  /**
   * Adds an entry. Of a link it adds only the directories above, because links are made last.
   * @returns where it goes, and for a hard link also what it names; undefined for a directory above the roots
   * @throws CacheError ARCHIVE_REFUSED, ARCHIVE_LIMIT
   */
  add(entry: ReadEntry): { target: string; to: string } | undefined;
  /** To be called when all entries have been added. @throws CacheError ARCHIVE_REFUSED */
  finish(links: FinishOptions): void;
}

export interface FinishOptions {
  /** In an archive of ours, a directory must not appear twice. */
  isOurs: boolean;
  /** In the archive's order, because one may link to another. */
  hardlinks: readonly { target: string; to: string }[];
  symlinks: readonly { target: string }[];
}

export function createNames({ roots, maxDirectories }: NamesOptions): Names {
  const kinds = new Map<string, 'directory' | 'implied' | 'file' | 'symlink'>();
  let directories = 0;
  let directoryTwice: string | undefined;

  return {
    add(entry) {
      const target = placed(entry);
      if (target === undefined) return undefined;
      implyAbove(target, entry.path);
      if (entry.kind === 'directory') addDirectory(target, entry.path);
      else if (entry.kind === 'file') take(target, 'file');
      return { target, to: entry.kind === 'hardlink' ? linked(entry) : '' };
    },
    finish({ isOurs, hardlinks, symlinks }) {
      if (isOurs && directoryTwice !== undefined) throw refuse(directoryTwice, TWICE);
      for (const { target, to } of hardlinks) {
        if (kinds.get(to) !== 'file')
          throw refuse(target, 'is a hard link to what is no file of this archive');
        take(target, 'file');
      }
      for (const { target } of symlinks) take(target, 'symlink');
    },
  };

  function take(target: string, kind: 'file' | 'symlink'): void {
    const known = kinds.get(target);
    if (known !== undefined) throw refuse(target, known === 'file' || known === 'symlink' ? TWICE : MIXED);
    kinds.set(target, kind);
  }

  function addDirectory(target: string, path: string): void {
    const known = kinds.get(target);
    if (known === 'file') throw refuse(path, MIXED);
    if (known === 'directory') directoryTwice ??= path;
    if (known === undefined) countDirectory();
    kinds.set(target, 'directory');
  }

  function placed({ kind, path }: ReadEntry): string | undefined {
    const name = checkedName(path);
    const isDirectory = kind === 'directory';
    if (!isDirectory && (name === '' || path.endsWith('/'))) throw refuse(path, 'must be a directory');
    if (roots === undefined) return name === '' ? undefined : name;
    const place = entryTargetOf(name, roots);
    if (isDirectory && place === undefined && leadsToRoot(name, roots)) return undefined;
    if (place === undefined || (!isDirectory && isRoot(name) && !(kind === 'file' && mayBeFile(path, roots))))
      throw outside(name, path, roots);
    return place.target;
  }

  function isRoot(name: string): boolean {
    return roots?.some(({ prefix }) => prefix === name) === true;
  }

  function linked(entry: ReadEntry): string {
    if (roots !== undefined) return linkedTarget(entry, roots);
    return checkedName(entry.linkPath, entry.path);
  }

  /** Adds the directories that a name implies. */
  function implyAbove(target: string, path: string): void {
    for (let cut = target.lastIndexOf('/'); cut > 0; cut = target.lastIndexOf('/', cut - 1)) {
      const above = target.slice(0, cut);
      const known = kinds.get(above);
      if (known === 'file') throw refuse(path, MIXED);
      if (known !== undefined) return;
      kinds.set(above, 'implied');
      countDirectory();
    }
  }

  function countDirectory(): void {
    if (++directories > maxDirectories)
      throw limit(`more than ${maxDirectories} directories`, 'CACHE_MAX_FILES');
  }
}

/** Whether the root of this name may be a file. A root inside another root may not. */
function mayBeFile(path: string, roots: readonly BinaryRoot[]): boolean {
  const root = roots.find(({ prefix }) => prefix === path);
  return root?.mayBeFile === true && !roots.some(({ prefix }) => path.startsWith(`${prefix}/`));
}

const TWICE = 'is there twice';
const MIXED = 'is both a file and a directory';
