/** What an archive has come to so far, held against the limits, and what is left to do at the end. */
import { lstatSync } from 'node:fs';
import { MAX_NAME_BYTES, RATIO_FROM } from '../bounds.ts';
import { folded, limit, refuse } from '../errors.ts';
import { fsPath } from '../format/tar-header.ts';
import { nameOf, type BinaryRoot } from './entry-names.ts';
import type { Limits } from '../types.ts';
import type { Link, OpenFile, Settling, UnpackReply } from '../unpack/unpack-member.ts';

export interface Tally {
  /** Files, directories and links. */
  readonly entries: number;
  readonly hardlinks: readonly Link[];
  readonly symlinks: readonly Link[];
  /** Directories and files written in pieces. */
  readonly settlings: readonly Settling[];
  /** @throws CacheError ARCHIVE_LIMIT */
  add(reply: UnpackReply): void;
  /** Tar that is about to be unpacked. @throws CacheError ARCHIVE_LIMIT */
  checkRatio(tarBytes: number, storedBytes: number): void;
}

export function createTally(limits: Limits): Tally {
  const hardlinks: Link[] = [];
  const symlinks: Link[] = [];
  const settlings: Settling[] = [];
  let entries = 0;
  let bytes = 0;
  let kept = 0;

  function keep<T extends { target: string; to?: string }>(list: T[], more: readonly T[]): void {
    for (const one of more) {
      list.push(one);
      kept += one.target.length + (one.to?.length ?? 0);
    }
  }

  function checkBytes(total: number): void {
    if (total > limits.maxBytes)
      throw limit(`more than ${limits.maxBytes} bytes of files`, 'CACHE_MAX_BYTES');
  }

  return {
    get entries() {
      return entries;
    },
    hardlinks,
    symlinks,
    settlings,
    add(reply) {
      entries += reply.entries;
      if (entries > limits.maxFiles) throw limit(`more than ${limits.maxFiles} entries`, 'CACHE_MAX_FILES');
      bytes += reply.bytes;
      checkBytes(bytes);
      keep(hardlinks, reply.hardlinks);
      keep(symlinks, reply.symlinks);
      keep(settlings, reply.directories);
      if (reply.open !== undefined) {
        checkBytes(bytes + reply.open.size - reply.open.written);
        keep(settlings, [settlingOf(reply.open)]);
      }
      if (kept > MAX_NAME_BYTES)
        throw limit(`more than ${MAX_NAME_BYTES} bytes of names of directories and links`);
    },
    checkRatio(tarBytes, storedBytes) {
      if (tarBytes > RATIO_FROM && tarBytes > limits.maxRatio * storedBytes)
        throw limit(`more than ${limits.maxRatio} bytes for each one stored`, 'CACHE_MAX_RATIO');
    },
  };
}

/**
 * Files refuse each other by name when they are made, directories do not: workers make the same ones. So once all are there.
 * @throws CacheError ARCHIVE_REFUSED when a directory has two entries: tar programs would make sense of it, each in its way;
 *   TARGET_REFUSED when two have become one, on a file system to which their names are the same
 */
export function refuseTwice(settlings: readonly Settling[], roots: readonly BinaryRoot[]): void {
  const targets = new Set<string>();
  const byFold = new Map<string, string>();
  // 12,000 directories take 5 ms to fold, and hardly any file system needs it; names that are not ASCII are few.
  const suspects = foldsCase(roots) ? ANY : NOT_ASCII;
  for (const { target } of settlings) {
    if (targets.has(target)) throw refuse(nameOf(target, roots), 'is there twice');
    targets.add(target);
    if (!suspects.test(target)) continue;
    const key = fold(target);
    const other = byFold.get(key);
    if (other === undefined) byFold.set(key, target);
    else if (isSame(target, other)) throw folded(nameOf(target, roots));
  }
}

/** Appending to a tar adds directories again. As tar programs have it, the later entry counts. */
export function lastOfEach(settlings: readonly Settling[]): Settling[] {
  const last = new Map<string, Settling>();
  for (const settling of settlings) {
    const other = last.get(settling.target);
    if (other === undefined || (settling.order ?? 0) >= (other.order ?? 0))
      last.set(settling.target, settling);
  }
  return [...last.values()];
}

const ANY = /^/;
const NOT_ASCII = /[^\0-\x7f]/;

function foldsCase(roots: readonly BinaryRoot[]): boolean {
  return roots.some(({ dir }) => {
    const cut = dir.lastIndexOf('/') + 1;
    return isSame(dir, dir.slice(0, cut) + dir.slice(cut).toUpperCase());
  });
}

/** What any file system may take for one name. Whether this one does, it is asked. */
function fold(target: string): string {
  if (!NOT_ASCII.test(target)) return target.toLowerCase();
  const text = Buffer.from(target, 'latin1').toString('utf8');
  return text.normalize('NFKD').toUpperCase().toLowerCase().normalize('NFKD');
}

function isSame(one: string, other: string): boolean {
  const [a, b] = [one, other].map((path) => lstatSync(fsPath(path), { bigint: true, throwIfNoEntry: false }));
  return a !== undefined && a.ino === b?.ino && a.dev === b.dev;
}

/** It was made writable for its owner, whatever its mode. */
function settlingOf({ target, mode, mtimeUs }: OpenFile): Settling {
  return { target, mode: (mode & 0o600) === 0o600 ? -1 : mode, mtimeUs };
}
