/**
 * Compares what an archive of ours says about itself, in its index and trailer, with what has arrived. Every
 * number that is stored twice is compared, so that nothing can be missing, repeated, moved or changed.
 */
import { createHash } from 'node:crypto';
import { CacheError } from '../../errors.ts';
import { MAX_INDEX_BYTES, MAX_MEMBERS } from '../bounds.ts';
import { corrupt, limit } from '../errors.ts';
import type { TrailerRecord } from '../format/record.ts';
import { statement } from '../signature.ts';
import type { IndexPart, MemberPart } from './split-archive.ts';
import type { StoredMember, UnpackOptions } from '../types.ts';

/** A member as it arrived. */
export interface LedgerLine {
  frameLength: number;
  storedLength: number;
  tarLength: number;
  /** From its record, or, for one without, as the worker found it. */
  digest: Uint8Array;
  /** Binary string, as the worker found it. */
  firstPath: string;
}

export interface Ledger {
  readonly members: number;
  readonly tarBytes: number;
  /** The members that have arrived. */
  stored(): StoredMember[];
  /** The caller completes the line once the worker has replied. @throws CacheError ARCHIVE_LIMIT */
  addMember(part: MemberPart): LedgerLine;
  /** @throws CacheError ARCHIVE_LIMIT */
  complete(line: LedgerLine, found: Pick<LedgerLine, 'digest' | 'firstPath'>): void;
  /** @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_LIMIT */
  addIndex(part: IndexPart): void;
  /**
   * To be called once everything has arrived and is unpacked.
   * @param entries tree entries unpacked
   * @throws CacheError ARCHIVE_CORRUPT
   */
  compare(trailer: TrailerRecord, entries: number): void;
}

export function createLedger(): Ledger {
  const lines: LedgerLine[] = [];
  const index: IndexPart[] = [];
  let tarBytes = 0;
  let kept = 0;
  let listed = 0;

  function keep(bytes: number): void {
    kept += bytes;
    if (kept > MAX_INDEX_BYTES) throw limit(`more than ${MAX_INDEX_BYTES} bytes of index`);
  }

  return {
    get members() {
      return lines.length;
    },
    get tarBytes() {
      return tarBytes;
    },
    stored() {
      let offset = 0;
      return lines.map(({ digest, frameLength, storedLength, tarLength, firstPath }) => {
        const length = frameLength + storedLength;
        const member = { digest, offset, length, frameLength, tarLength, firstPath };
        offset += length;
        return member;
      });
    },
    addMember({ frameLength, tarLength, record, bytes }) {
      if (lines.length === MAX_MEMBERS) throw limit(`more than ${MAX_MEMBERS} members`);
      tarBytes += tarLength;
      const digest = record.slice(2, 34);
      const line = {
        frameLength,
        storedLength: bytes.length - frameLength,
        tarLength,
        digest,
        firstPath: '',
      };
      lines.push(line);
      return line;
    },
    complete(line, { digest, firstPath }) {
      keep(firstPath.length);
      line.digest = digest;
      line.firstPath = firstPath;
    },
    addIndex(part) {
      keep(part.record.length);
      index.push(part);
      listed += part.index.members.length;
      if (Math.max(index.length, listed) > lines.length) throw corrupt('an index longer than its archive');
    },
    compare(trailer, entries) {
      compareIndex(lines, index);
      const root = createHash('sha256');
      for (const { digest } of lines) root.update(digest);
      for (const { record } of index) root.update(record);
      const same =
        trailer.members === lines.length &&
        trailer.tarBytes === tarBytes &&
        trailer.entries === entries &&
        trailer.indexOffset === index[0]?.offset &&
        root.digest().equals(trailer.rootDigest);
      if (!same) throw corrupt('a trailer that tells of something else');
    },
  };
}

function compareIndex(lines: readonly LedgerLine[], index: readonly IndexPart[]): void {
  let n = 0;
  for (const { index: record } of index) {
    if (record.first !== n) throw corrupt('an index out of order');
    for (const member of record.members) {
      const line = lines[n++];
      const same =
        line !== undefined &&
        line.frameLength === member.frameLength &&
        line.storedLength === member.storedLength &&
        line.tarLength === member.tarLength &&
        Buffer.compare(line.digest, member.digest) === 0 &&
        line.firstPath === Buffer.from(member.firstPath).toString('latin1');
      if (!same) throw corrupt('an index that tells of something else');
    }
  }
  if (n !== lines.length) throw corrupt('members that its index does not have');
}

/**
 * Checks that the archive is the entry it was fetched as, and who signed it.
 * @throws CacheError ARCHIVE_MISMATCH, ARCHIVE_UNTRUSTED
 */
export function checkSeal(
  trailer: TrailerRecord,
  options: Pick<UnpackOptions, 'expected' | 'checkSignature'>,
): void {
  const { expected, checkSignature } = options;
  const { recipe, runtime } = trailer;
  const keyDigest = Buffer.from(trailer.keyDigest).toString('hex');
  if (!keyDigest.startsWith(expected.keyDigest)) throw mismatch('lockfile', keyDigest, expected.keyDigest);
  if (recipe !== expected.recipe) throw mismatch('recipe', recipe, expected.recipe);
  if (runtime !== expected.runtime) throw mismatch('runtime', runtime, expected.runtime);
  checkSignature?.(statement({ keyDigest, recipe, runtime }, trailer.rootDigest), trailer.signature);
}

function mismatch(what: string, actual: string, expected: string): CacheError {
  return new CacheError(
    'ARCHIVE_MISMATCH',
    `The archive was made for the ${what} "${actual}", not for "${expected}"`,
    { hint: 'Somebody stored it under the wrong key; the next save replaces it.' },
  );
}
