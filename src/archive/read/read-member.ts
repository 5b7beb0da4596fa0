/**
 * Reads a job for unpacking and listing: checks its digest, decompresses it, and goes through its entries.
 * The caller decides what to do with each.
 */
import { corrupt, refuse } from '../errors.ts';
import type { Container } from '../format/container.ts';
import { digestOf, digestIn } from '../format/record.ts';
import type {
  HandlerResult,
  FilePiece,
  OwnMember,
  UnpackJob,
  UnpackReply,
  UnpackSetup,
} from '../workers/protocol.ts';
import { contentLength, nextEntry, type ReadEntry } from './tar-entries.ts';
import { containerFor } from '../format/containers.ts';

/** Handles what is read, and adds the results to the reply. */
export interface Taker {
  /**
   * A fast path for ordinary entries, from `at` on.
   * @returns the offset of the first entry that it did not handle
   */
  ordinary?(tar: Buffer, at: number, reply: UnpackReply): number;
  /** The last file's content may go on beyond `tar`. The handler then sets `reply.open`. */
  entry(tar: Buffer, entry: ReadEntry, reply: UnpackReply): void;
  /** `tar` holds all of the piece. */
  piece(tar: Buffer, piece: FilePiece, reply: UnpackReply): void;
}

/** @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_REFUSED, ARCHIVE_LIMIT, and what the handler throws */
export type MemberReader = (job: UnpackJob) => HandlerResult<UnpackReply>;

export function createMemberReader(setup: UnpackSetup, taker: Taker): MemberReader {
  let container: Container | undefined;

  return (job) => {
    const memory = job.bytes.buffer;
    const bytes = Buffer.from(memory, job.bytes.byteOffset, job.length ?? job.bytes.length);
    const reply: UnpackReply = {
      memory,
      digest: NONE,
      firstPath: '',
      entries: 0,
      bytes: 0,
      ended: false,
      directories: [],
      hardlinks: [],
      symlinks: [],
    };
    let tar: Buffer = bytes;
    if (job.own !== undefined) {
      container ??= containerFor(job.own.compression);
      reply.digest = checkedDigest(bytes, job.own);
      tar = container.decompress(bytes, job.own.frameLength, job.own.tarLength);
    }
    if (job.piece === undefined) readEntries(tar, job.own === undefined, reply);
    else if (tar.length < job.piece.length) throw corrupt('a piece of a file that is too short');
    else taker.piece(tar, job.piece, reply);
    return { reply, transfer: [memory] };
  };

  function readEntries(tar: Buffer, foreign: boolean, reply: UnpackReply): void {
    const { maxPathBytes, maxBytes } = setup;
    const options = { checksums: foreign, maxPathBytes, maxBytes };
    let at = 0;
    for (;;) {
      if (taker.ordinary !== undefined) at = taker.ordinary(tar, at, reply);
      if (at >= tar.length) break;
      const entry = nextEntry(tar, at, tar.length, options);
      if (typeof entry === 'number') throw corrupt('a member that ends within a header');
      if (entry === undefined) {
        if (tar.subarray(at).some((byte) => byte !== 0)) throw corrupt('bytes after the end of the tar');
        reply.ended = true;
        return;
      }
      at = entry.at + contentLength(entry);
      if (entry.kind === 'global') continue;
      if (reply.entries++ === 0) reply.firstPath = entry.path;
      taker.entry(tar, entry, reply);
    }
    if (at > tar.length && reply.open === undefined) throw corrupt('a member that ends within padding');
  }
}

function checkedDigest(member: Buffer, { record, frameLength }: OwnMember): Uint8Array {
  const digest = digestOf(record, member.subarray(frameLength));
  if (frameLength > 0 && !digest.equals(digestIn(record))) throw corrupt('a member whose SHA-256 is wrong');
  return new Uint8Array(digest);
}

/** Returns where a symlink leads. That may be anywhere, because nothing is ever written through it. */
export function symlinkTarget({ path, linkPath }: ReadEntry): string {
  if (linkPath === '' || linkPath.includes('\0')) throw refuse(path, 'is a symlink that leads nowhere');
  return linkPath;
}

const NONE = new Uint8Array(0);
