/** Unpacking an archive of our own format: all of it has to hold, or nothing was unpacked. */
import { corrupt } from '../errors.ts';
import type { Container } from '../format/container.ts';
import type { Piece, TrailerRecord } from '../format/record.ts';
import { paddedLength } from '../format/tar-header.ts';
import { createLedger } from './ledger.ts';
import { splitArchive, type MemberPart } from './split-archive.ts';
import type { Run } from './read-through.ts';
import type { OpenFile, UnpackJob, UnpackReply } from '../unpack/unpack-member.ts';

export interface SealedResult {
  tarBytes: number;
  trailer: TrailerRecord;
}

/** @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, and what workers and limits have to say */
export async function unpackSealed(run: Run, container: Container): Promise<SealedResult> {
  const { reader, crew, tally } = run;
  const ledger = createLedger();
  const files = createLargeFiles();
  let endedIn: number | undefined;

  for await (const part of splitArchive(reader, container)) {
    if (part.kind === 'trailer') {
      await crew.idle();
      files.finish();
      if (endedIn !== ledger.members - 1) throw corrupt('a tar that does not end where the archive does');
      ledger.compare(part.trailer, tally.entries);
      return { tarBytes: ledger.tarBytes, trailer: part.trailer };
    }
    if (part.kind === 'index') {
      ledger.addIndex(part);
      continue;
    }
    const number = ledger.members;
    const line = ledger.addMember(part);
    tally.checkRatio(ledger.tarBytes, reader.position);
    const job = jobOf(part, run, container);
    const member = part.piece === undefined ? files.data() : files.piece(part, part.piece);
    await crew.submit(
      async () => ({ ...job, ...(await member.prepare()) }),
      (reply) => {
        ledger.complete(line, {
          digest: part.frameLength === 0 ? reply.digest : line.digest,
          firstPath: part.piece === undefined ? reply.firstPath : latin1(part.piece.path),
        });
        if (reply.ended && endedIn !== undefined) throw corrupt('a tar that ends twice');
        if (reply.ended) endedIn = number;
        run.add(reply);
        member.done(reply);
      },
    );
  }
  throw corrupt('no trailer');
}

function jobOf(
  { record, frameLength, tarLength, bytes }: MemberPart,
  run: Run,
  container: Container,
): UnpackJob {
  const sealed = { compression: container.compression, record, frameLength, tarLength };
  return { type: 'unpack', setup: run.setup, bytes, sealed };
}

interface LargeFileStep {
  prepare(): Promise<Pick<UnpackJob, 'piece'>>;
  done(reply: UnpackReply): void;
}

interface LargeFiles {
  /** A member of entries, whose last file may go on. */
  data(): LargeFileStep;
  piece(part: MemberPart, piece: Piece): LargeFileStep;
  /** @throws CacheError ARCHIVE_CORRUPT when a file has been left unfinished */
  finish(): void;
}

/**
 * Follows files through the members they are cut into. Pieces may be written in any order, each by any worker, but only into
 * the file that the member before the first of them has made, and they have to cover it from there to its end.
 */
function createLargeFiles(): LargeFiles {
  /** The file that the latest member of entries ends in, for the first piece to take up. */
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
      if (current !== undefined || begun !== taken) throw corrupt('a file whose end is missing');
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

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('latin1');
}
