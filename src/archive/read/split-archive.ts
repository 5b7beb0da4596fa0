/**
 * Splits an archive of ours into its parts, by the lengths in its records. Nothing is decompressed here. A
 * worker checks each member's digest later, so a length cannot be trusted yet: it is compared with a bound
 * before memory is allocated for it.
 */
import type { ByteReader } from './byte-reader.ts';
import { corrupt, truncated } from '../errors.ts';
import type { Container, Frame } from '../format/container.ts';
import {
  decodeRecord,
  encodeRecord,
  type IndexRecord,
  type MemberRecord,
  type Piece,
  type TrailerRecord,
} from '../format/record.ts';
import { END_OF_TAR_LENGTH, paddedLength } from '../format/tar-header.ts';

export type Part = MemberPart | IndexPart | TrailerPart;

export interface MemberPart {
  kind: 'member';
  /** The bytes that the member's digest covers. They own their memory. */
  record: Uint8Array<ArrayBuffer>;
  /** Where the body begins in `bytes`. 0 for a member without a frame: only the index has its digest. */
  frameLength: number;
  tarLength: number;
  /** Present when the body is a piece of a file. */
  piece: Piece | undefined;
  /** Frame and body. They own their memory. */
  bytes: Buffer<ArrayBuffer>;
}

export interface IndexPart {
  kind: 'index';
  offset: number;
  record: Uint8Array<ArrayBuffer>;
  index: IndexRecord;
}

export interface TrailerPart {
  kind: 'trailer';
  trailer: TrailerRecord;
}

/** Most bytes of a member, both as stored and as tar. We write at most an eighth of that. */
export const MAX_MEMBER_LENGTH = 16 * 1024 * 1024;

/** Whether the stream begins with a frame of ours, even one that is cut off. */
export async function beginsWithFrame(reader: ByteReader, container: Container): Promise<boolean> {
  return (await peekFrame(reader, container)) !== undefined;
}

/**
 * Yields the members, then the index, then the trailer.
 * @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED
 */
export async function* splitArchive(
  reader: ByteReader,
  container: Container,
): AsyncGenerator<Part, void, void> {
  let indexed = false;
  for (;;) {
    const offset = reader.position;
    if (!indexed && container.compression === 'none' && (await isEndOfTar(reader))) {
      yield await readEnd(reader);
      continue;
    }
    const frame = await peekFrame(reader, container);
    if (frame === undefined) throw corrupt(`bytes that are no member, at ${offset}`);
    if (frame === 'cut off') throw truncated(`at byte ${offset}, before its trailer`);
    const { frameLength } = frame;
    const bytes = new Uint8Array(frame.record);
    const record = decodeRecord(bytes);
    if (record.kind === 'index' || record.kind === 'trailer') reader.skip(frameLength);

    switch (record.kind) {
      case 'trailer':
        // Checked before the trailer is yielded, because the consumer stops reading at the trailer.
        if ((await reader.peek(1)).length > 0) throw corrupt('bytes after its trailer');
        yield { kind: 'trailer', trailer: record };
        return;
      case 'index':
        indexed = true;
        yield { kind: 'index', offset, record: bytes, index: record };
        break;
      default:
        if (indexed) throw corrupt('a member after its index');
        yield await readMember(reader, record, { bytes, frameLength });
        if (record.kind === 'open') yield* readPieces(reader, record.piece, record.pieceLength);
    }
  }
}

async function isEndOfTar(reader: ByteReader): Promise<boolean> {
  const bytes = await reader.peek(END_OF_TAR_LENGTH);
  return bytes.length === END_OF_TAR_LENGTH && bytes.every((byte) => byte === 0);
}

/** In an archive that is not compressed, the blocks that end the tar are a member without a frame. */
async function readEnd(reader: ByteReader): Promise<MemberPart> {
  const lengths = { storedLength: END_OF_TAR_LENGTH, tarLength: END_OF_TAR_LENGTH };
  return {
    kind: 'member',
    record: new Uint8Array(encodeRecord({ kind: 'data', ...lengths })),
    frameLength: 0,
    tarLength: END_OF_TAR_LENGTH,
    piece: undefined,
    bytes: await readBytes(reader, { frameLength: 0, ...lengths }),
  };
}

async function peekFrame(reader: ByteReader, container: Container): Promise<Frame | 'cut off' | undefined> {
  let length = 1;
  for (;;) {
    const bytes = await reader.peek(length);
    const frame = container.decodeFrame(bytes);
    if (typeof frame !== 'number') return frame;
    if (bytes.length < length) return 'cut off';
    length = Math.max(frame, length + 1);
  }
}

async function readMember(
  reader: ByteReader,
  record: MemberRecord,
  { bytes, frameLength }: { bytes: Uint8Array<ArrayBuffer>; frameLength: number },
): Promise<MemberPart> {
  const { storedLength, tarLength } = record;
  return {
    kind: 'member',
    record: bytes,
    frameLength,
    tarLength,
    piece: record.kind === 'continuation' ? record.piece : undefined,
    bytes: await readBytes(reader, { frameLength, storedLength, tarLength }),
  };
}

/**
 * Pieces have no frames in an archive that is not compressed. Their records follow from the `open` record
 * before them.
 */
async function* readPieces(
  reader: ByteReader,
  first: Piece,
  pieceLength: number,
): AsyncGenerator<MemberPart> {
  if (pieceLength === 0) throw corrupt('a file in pieces of no length');
  const end = paddedLength(first.size);
  for (let { offset } = first; offset < end; offset += pieceLength) {
    const tarLength = Math.min(pieceLength, end - offset);
    const piece = { ...first, offset };
    yield {
      kind: 'member',
      record: new Uint8Array(
        encodeRecord({ kind: 'continuation', storedLength: tarLength, tarLength, piece }),
      ),
      frameLength: 0,
      tarLength,
      piece,
      bytes: await readBytes(reader, { frameLength: 0, storedLength: tarLength, tarLength }),
    };
  }
}

async function readBytes(
  reader: ByteReader,
  { frameLength, storedLength, tarLength }: { frameLength: number; storedLength: number; tarLength: number },
): Promise<Buffer<ArrayBuffer>> {
  if (storedLength > MAX_MEMBER_LENGTH || tarLength > MAX_MEMBER_LENGTH || tarLength === 0)
    throw corrupt(`a member of ${storedLength} bytes, ${tarLength} of tar`);
  const { position } = reader;
  const bytes = await reader.take(frameLength + storedLength);
  if (bytes === undefined) throw truncated(`within the member at byte ${position}`);
  return bytes;
}
