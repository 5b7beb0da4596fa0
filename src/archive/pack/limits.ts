/**
 * Checks a tree against the limits of a restore. An entry above them would be stored, and then refused by
 * everybody who fetches it. Nearly all limits are checked during the walk, before a file is read or a byte is
 * sent. Only the compression ratio has to be checked for each member.
 */
import { CacheError } from '../../errors.ts';
import { MAX_DEPTH, MAX_INDEX_BYTES, MAX_MEMBERS, MAX_NAME_BYTES, RATIO_FROM } from '../bounds.ts';
import { shown } from '../errors.ts';
import { INDEX_HEAD_LENGTH, indexedLength, type IndexedMember } from '../format/record.ts';
import type { Limits } from '../types.ts';
import { S_IFDIR, S_IFLNK, S_IFREG, typeBits } from './stat.ts';
import { MODE, SHARED, SIZE, STAT_FIELDS } from '../workers/protocol.ts';

export interface PackLimits {
  /** Bytes of files in the listings so far. A file counts once, however many links it has. */
  readonly fileBytes: number;
  /** Adds a root, which is in no listing. @throws CacheError ARCHIVE_LIMIT */
  addRoot(path: string, fileBytes: number): void;
  /** Adds the content of a directory, as `walk` found it. @throws CacheError ARCHIVE_LIMIT */
  addListing(dir: string, listing: Listed): void;
  /** A member, before it is sent. @throws CacheError ARCHIVE_LIMIT */
  addMember(member: IndexedMember): void;
}

export interface Listed {
  names: readonly string[];
  stats: Float64Array;
  /** Of the files with several links among them, in order. */
  inodes: readonly string[];
  linkTargets: readonly string[];
}

/** A restore keeps names as absolute paths. This leaves room for the path of its staging area. */
const STAGING_LENGTH = 128;

/** @param memberLength bytes of tar in a member, at most */
export function createPackLimits(limits: Limits, memberLength: number): PackLimits {
  const inodes = new Set<string>();
  let entries = 0;
  let bytes = 0;
  let nameBytes = 0;
  let members = 0;
  let tarBytes = 0;
  let storedBytes = 0;
  let indexBytes = 0;

  function addName(length: number): void {
    nameBytes += length + STAGING_LENGTH;
  }

  /** @param inode of a file with several names. The first name is the file, the others become links to it */
  function addFile(size: number, nameLength: number, inode: string | undefined): void {
    if (inode !== undefined && inodes.has(inode)) {
      addName(nameLength);
      addName(nameLength);
      return;
    }
    if (inode !== undefined) inodes.add(inode);
    bytes += size;
    // It is written in pieces, so its time is set at the end.
    if (size > memberLength) addName(nameLength);
  }

  function checkTree(dir: string): void {
    if (entries > limits.maxFiles) throw over(`more than ${limits.maxFiles} entries`, 'CACHE_MAX_FILES');
    if (bytes > limits.maxBytes) throw over(`more than ${limits.maxBytes} bytes of files`, 'CACHE_MAX_BYTES');
    if (bytes > MAX_MEMBERS * memberLength) throw over(`more than ${MAX_MEMBERS * memberLength} bytes`);
    if (nameBytes > MAX_NAME_BYTES)
      throw over(`more than ${MAX_NAME_BYTES} bytes of names of directories and links`);
    // As `checkedName` counts.
    if (dir.length > 2 * MAX_DEPTH && dir.split('/', MAX_DEPTH + 1).length > MAX_DEPTH)
      throw over(`more than ${MAX_DEPTH} directories in each other (${shown(dir)})`);
  }

  return {
    get fileBytes() {
      return bytes;
    },

    addRoot(path, fileBytes) {
      entries++;
      bytes += fileBytes;
      addName(path.length);
      checkTree(path);
    },

    addListing(dir, { names, stats, inodes: shared, linkTargets }) {
      let inode = 0;
      let target = 0;
      entries += names.length;
      for (let n = 0; n < names.length; n++) {
        const mode = stats[n * STAT_FIELDS + MODE]!;
        const type = typeBits(mode);
        const length = dir.length + 1 + names[n]!.length;
        if (type === S_IFDIR) addName(length);
        else if (type === S_IFLNK) addName(length + linkTargets[target++]!.length);
        else if (type === S_IFREG) {
          const size = stats[n * STAT_FIELDS + SIZE]!;
          addFile(size, length, (mode & SHARED) === 0 ? undefined : shared[inode++]);
        }
      }
      checkTree(dir);
    },

    addMember(member) {
      if (++members > MAX_MEMBERS) throw over(`more than ${MAX_MEMBERS} members`);
      tarBytes += member.tarLength;
      storedBytes += member.frameLength + member.storedLength;
      // A name of 4 KiB leaves a record to one member.
      indexBytes += member.firstPath.length + indexedLength(member) + INDEX_HEAD_LENGTH;
      if (indexBytes > MAX_INDEX_BYTES) throw over(`more than ${MAX_INDEX_BYTES} bytes of index`);
      if (tarBytes > RATIO_FROM && tarBytes > limits.maxRatio * storedBytes)
        throw over(`more than ${limits.maxRatio} bytes for each one stored`, 'CACHE_MAX_RATIO');
    },
  };
}

/**
 * @param what completes "The tree has …"
 * @param variable that raises the limit
 */
function over(what: string, variable?: string): CacheError {
  return new CacheError('ARCHIVE_LIMIT', `The tree has ${what}, and no restore would take it`, {
    hint:
      variable === undefined
        ? 'Nothing was saved. Remove what does not belong there.'
        : `Nothing was saved. If that is right, raise ${variable} here and where it is restored.`,
  });
}
