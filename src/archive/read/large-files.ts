/** Follows large files, whose content is spread over several members. */
import type { MemberPart } from './split-archive.ts';
import type { Piece } from '../format/record.ts';
import { corrupt } from '../errors.ts';
import { paddedLength } from '../format/tar-header.ts';
import type { UnpackJob, UnpackReply, OpenFile } from '../workers/protocol.ts';
import { latin1 } from '../format/binary-string.ts';

interface LargeFileStep {
  prepare(): Promise<Pick<UnpackJob, 'piece'>>;
  done(reply: UnpackReply): void;
}

interface LargeFiles {
  /** A member of entries. Its last file may continue in the next member. */
  data(): LargeFileStep;
  piece(part: MemberPart, piece: Piece): LargeFileStep;
  /** @throws CacheError ARCHIVE_CORRUPT when a file has been left unfinished */
  finish(): void;
}

/**
 * Any worker may write any piece, in any order. But all pieces must belong to the file that the member before
 * the first piece has created, and together they must cover the rest of it.
 */
export function createLargeFiles(): LargeFiles {
  /** The unfinished file at the end of the latest member of entries. The first piece continues it. */
  let latest: Promise<OpenFile | undefined> | undefined;
  let current: { opened: Promise<OpenFile | undefined>; first: Piece; next: number } | undefined;
  let begun = 0;
  let taken = 0;

  return {
    data() {
      if (current !== undefined) throw corrupt('a file whose end is missing');
      let settle: (open: OpenFile | undefined) => void;
      latest = new Promise((resolve) => (settle = resolve));
      return {
        prepare: async () => ({}),
        done({ open }) {
          if (open !== undefined) begun++;
          settle(open);
        },
      };
    },

    piece({ tarLength }, piece) {
      if (current === undefined) {
        if (latest === undefined) throw corrupt('a piece of a file that never began');
        current = { opened: latest, first: piece, next: piece.offset };
        latest = undefined;
        taken++;
      }
      const { opened, first } = current;
      const end = paddedLength(piece.size);
      if (!samePiece(piece, first) || piece.offset !== current.next || piece.offset + tarLength > end)
        throw corrupt('a piece of a file out of order');
      current = piece.offset + tarLength === end ? undefined : { ...current, next: piece.offset + tarLength };
      const length = Math.max(0, Math.min(tarLength, piece.size - piece.offset));
      return {
        async prepare() {
          const open = await opened;
          if (open === undefined || !continues(open, first))
            throw corrupt('a piece of a file that never began');
          return { piece: { target: open.target, offset: piece.offset, length } };
        },
        done() {},
      };
    },

    finish() {
      if (begun !== taken) throw corrupt('a file whose end is missing');
    },
  };
}

function samePiece(a: Piece, b: Piece): boolean {
  return (
    a.size === b.size && a.mode === b.mode && a.mtimeUs === b.mtimeUs && Buffer.compare(a.path, b.path) === 0
  );
}

function continues(open: OpenFile, piece: Piece): boolean {
  return (
    open.path === latin1(piece.path) &&
    open.size === piece.size &&
    open.mode === piece.mode &&
    open.mtimeUs === piece.mtimeUs &&
    open.written === piece.offset
  );
}
