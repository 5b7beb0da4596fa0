/**
 * A record says what a member of an archive is: how long it is, its digest, and for a piece of a large file
 * which file it belongs to. All three containers (gzip, zstd, none) carry the same bytes, each in its own
 * framing. Little-endian:
 *
 *     u8 version (1) · u8 kind · 32 bytes digest · rest
 *
 * The digest is SHA-256 of the rest and of the stored body that follows the frame, so that everything is
 * covered: what comes before the digest can only have one value. docs/archive-format.md has the tables.
 */
import { createHash } from 'node:crypto';
import { corrupt } from '../errors.ts';

export const RECORD_VERSION = 1;
/** A gzip extra field holds 65,535 bytes, of which its own subfield header takes 4. */
export const MAX_RECORD_LENGTH = 65_531;
export const DIGEST_LENGTH = 32;
export const SIGNATURE_LENGTH = 64;
/** Fixed, so that a reader finds it from the end of the archive. */
export const TRAILER_LENGTH = 323;

/** Version, kind and digest: what stands before the rest. */
const HEAD_LENGTH = 2 + DIGEST_LENGTH;
const KINDS = { data: 1, continuation: 2, index: 3, trailer: 4, open: 5 } as const;
/** Room in the trailer, bytes of UTF-8. */
export const RECIPE_LENGTH = 64;
export const RUNTIME_LENGTH = 64;
const RECIPE_AT = 96;
const RUNTIME_AT = RECIPE_AT + RECIPE_LENGTH;
const SIGNED_AT = RUNTIME_AT + RUNTIME_LENGTH;

/** Whole tar entries, or the end of the tar. */
export interface DataRecord {
  kind: 'data';
  digest: Uint8Array;
  /** Bytes of the body, as stored: they follow the frame. */
  storedLength: number;
  /** Bytes of tar in it. */
  tarLength: number;
}

/**
 * A piece of a file that began in an earlier member; its tar bytes are the file's bytes, and after the last
 * the padding.
 */
export interface ContinuationRecord {
  kind: 'continuation';
  digest: Uint8Array;
  storedLength: number;
  tarLength: number;
  piece: Piece;
}

/**
 * Only in archives that are not compressed, where nothing can stand between the pieces of a file: a data
 * member whose last file goes on in members without frames of their own, `pieceLength` bytes of tar each and
 * the last one what is left. `piece` is the first of these; their digests are in the index.
 */
export interface OpenRecord {
  kind: 'open';
  digest: Uint8Array;
  storedLength: number;
  tarLength: number;
  piece: Piece;
  pieceLength: number;
}

/** Lists members again, at the end of the archive. */
export interface IndexRecord {
  kind: 'index';
  digest: Uint8Array;
  /** Number of the first member listed, from 0. */
  first: number;
  members: IndexedMember[];
}

export interface TrailerRecord {
  kind: 'trailer';
  digest: Uint8Array;
  /** Data and continuation members. */
  members: number;
  tarBytes: number;
  /** Files, directories and links. */
  entries: number;
  /** Where the first index frame begins, from the start of the archive. */
  indexOffset: number;
  /** SHA-256 of the digests of all members in order, then all index records. */
  rootDigest: Uint8Array;
  /** 32 bytes. */
  keyDigest: Uint8Array;
  installMs: number;
  recipe: string;
  runtime: string;
  signature: Uint8Array | undefined;
}

export type MemberRecord = DataRecord | ContinuationRecord | OpenRecord;
export type ArchiveRecord = MemberRecord | IndexRecord | TrailerRecord;

/** Where a continuation's bytes go. */
export interface Piece {
  /** Path in the archive, raw bytes. */
  path: Uint8Array;
  /** Where the piece begins in the file. */
  offset: number;
  /** Size of the whole file. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Microseconds since 1970. */
  mtimeUs: number;
}

export interface IndexedMember {
  /** Bytes of the frame before the body; 0 for a member without one. */
  frameLength: number;
  storedLength: number;
  tarLength: number;
  digest: Uint8Array;
  /** Path of the first entry, raw bytes; empty for the end of the tar. */
  firstPath: Uint8Array;
}

/** Bytes an indexed member takes in an index record. */
export function indexedLength(member: IndexedMember): number {
  return 46 + member.firstPath.length;
}
/** Bytes an index record takes before its members. */
export const INDEX_HEAD_LENGTH = HEAD_LENGTH + 6;

/** A record's bytes, all but the digest filled in: `withDigest` does that, once the body is known. */
export function encodeRecord(record: WithoutDigest<ArchiveRecord>): Buffer {
  switch (record.kind) {
    case 'data':
      return finish(record.kind, lengths(record));
    case 'continuation':
      return finish(record.kind, Buffer.concat([lengths(record), encodePiece(record.piece)]));
    case 'open': {
      const pieceLength = Buffer.alloc(4);
      pieceLength.writeUInt32LE(record.pieceLength);
      return finish(record.kind, Buffer.concat([lengths(record), pieceLength, encodePiece(record.piece)]));
    }
    case 'index':
      return finish(record.kind, encodeIndex(record));
    case 'trailer':
      return finish(record.kind, encodeTrailer(record));
  }
}

/** What a record is before its digest is known. */
export type WithoutDigest<R extends ArchiveRecord> = R extends ArchiveRecord ? Omit<R, 'digest'> : never;

/** Fills in the digest, over the rest of the record and the stored body. */
export function withDigest(record: Buffer, body: Uint8Array = EMPTY): Buffer {
  record.set(digestOf(record, body), 2);
  return record;
}

/** The digest that the record of this body must carry. */
export function digestOf(record: Uint8Array, body: Uint8Array = EMPTY): Buffer {
  return createHash('sha256').update(record.subarray(HEAD_LENGTH)).update(body).digest();
}

/** The digest that a record carries: a view. */
export function digestIn(record: Uint8Array): Uint8Array {
  return record.subarray(2, HEAD_LENGTH);
}

/**
 * Whether an encoded record is an index or a trailer: those stand after the end of the tar and have no body.
 */
export function isOfTail(record: Uint8Array): boolean {
  return record[1] === KINDS.index || record[1] === KINDS.trailer;
}

/**
 * @throws CacheError ARCHIVE_CORRUPT when the bytes are not exactly one record. Does not check the digest,
 *   except for index and trailer, which have no body.
 */
export function decodeRecord(bytes: Uint8Array): ArchiveRecord {
  const record = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  if (record.length < HEAD_LENGTH || record[0] !== RECORD_VERSION)
    throw corrupt('a record of unknown version');
  const decoded = decodeKind(record);
  // One encoding only: no byte of a record is without meaning.
  if (!encodeRecord(decoded).subarray(HEAD_LENGTH).equals(record.subarray(HEAD_LENGTH)))
    throw corrupt('a malformed record');
  if (decoded.kind === 'index' || decoded.kind === 'trailer') {
    if (!digestOf(record).equals(decoded.digest)) throw corrupt(`a damaged ${decoded.kind}`);
  }
  return decoded;
}

function decodeKind(record: Buffer): ArchiveRecord {
  const digest = digestIn(record);
  const rest = record.subarray(HEAD_LENGTH);
  try {
    switch (record[1]) {
      case KINDS.data:
        return { kind: 'data', digest, ...decodeLengths(rest) };
      case KINDS.continuation:
        return {
          kind: 'continuation',
          digest,
          ...decodeLengths(rest),
          piece: decodePiece(rest.subarray(8)),
        };
      case KINDS.open:
        return {
          kind: 'open',
          digest,
          ...decodeLengths(rest),
          pieceLength: rest.readUInt32LE(8),
          piece: decodePiece(rest.subarray(12)),
        };
      case KINDS.index:
        return { kind: 'index', digest, ...decodeIndex(rest) };
      case KINDS.trailer:
        return { kind: 'trailer', digest, ...decodeTrailer(rest) };
    }
  } catch (error) {
    // Only reads beyond the end get here.
    if (error instanceof RangeError) throw corrupt('a record that is too short', error);
    throw error;
  }
  throw corrupt('a record of unknown kind');
}

function finish(kind: keyof typeof KINDS, rest: Buffer): Buffer {
  const record = Buffer.alloc(HEAD_LENGTH + rest.length);
  record[0] = RECORD_VERSION;
  record[1] = KINDS[kind];
  rest.copy(record, HEAD_LENGTH);
  if (record.length > MAX_RECORD_LENGTH) throw new Error(`record of ${record.length} bytes`);
  return record;
}

function lengths(member: { storedLength: number; tarLength: number }): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeUInt32LE(member.storedLength, 0);
  bytes.writeUInt32LE(member.tarLength, 4);
  return bytes;
}

function decodeLengths(rest: Buffer): { storedLength: number; tarLength: number } {
  return { storedLength: rest.readUInt32LE(0), tarLength: rest.readUInt32LE(4) };
}

function encodePiece(piece: Piece): Buffer {
  const bytes = Buffer.alloc(28 + piece.path.length);
  bytes.writeBigUInt64LE(BigInt(piece.offset), 0);
  bytes.writeBigUInt64LE(BigInt(piece.size), 8);
  bytes.writeUInt16LE(piece.mode, 16);
  bytes.writeBigInt64LE(BigInt(piece.mtimeUs), 18);
  bytes.writeUInt16LE(piece.path.length, 26);
  bytes.set(piece.path, 28);
  return bytes;
}

function decodePiece(bytes: Buffer): Piece {
  const pathLength = bytes.readUInt16LE(26);
  return {
    offset: safe(bytes.readBigUInt64LE(0)),
    size: safe(bytes.readBigUInt64LE(8)),
    mode: bytes.readUInt16LE(16),
    mtimeUs: safe(bytes.readBigInt64LE(18)),
    path: bytes.subarray(28, 28 + pathLength),
  };
}

function encodeIndex(index: Omit<IndexRecord, 'digest'>): Buffer {
  const length = index.members.reduce((sum, member) => sum + indexedLength(member), 6);
  const bytes = Buffer.alloc(length);
  bytes.writeUInt32LE(index.first, 0);
  bytes.writeUInt16LE(index.members.length, 4);
  let at = 6;
  for (const member of index.members) {
    bytes.writeUInt32LE(member.frameLength, at);
    bytes.writeUInt32LE(member.storedLength, at + 4);
    bytes.writeUInt32LE(member.tarLength, at + 8);
    bytes.set(member.digest, at + 12);
    bytes.writeUInt16LE(member.firstPath.length, at + 44);
    bytes.set(member.firstPath, at + 46);
    at += indexedLength(member);
  }
  return bytes;
}

function decodeIndex(rest: Buffer): { first: number; members: IndexedMember[] } {
  const count = rest.readUInt16LE(4);
  const members: IndexedMember[] = [];
  let at = 6;
  for (let n = 0; n < count; n++) {
    const pathLength = rest.readUInt16LE(at + 44);
    members.push({
      frameLength: rest.readUInt32LE(at),
      storedLength: rest.readUInt32LE(at + 4),
      tarLength: rest.readUInt32LE(at + 8),
      digest: rest.subarray(at + 12, at + 44),
      firstPath: rest.subarray(at + 46, at + 46 + pathLength),
    });
    at += 46 + pathLength;
  }
  return { first: rest.readUInt32LE(0), members };
}

function encodeTrailer(trailer: Omit<TrailerRecord, 'digest'>): Buffer {
  const bytes = Buffer.alloc(TRAILER_LENGTH - HEAD_LENGTH);
  bytes.writeUInt32LE(trailer.members, 0);
  bytes.writeBigUInt64LE(BigInt(trailer.tarBytes), 4);
  bytes.writeBigUInt64LE(BigInt(trailer.entries), 12);
  bytes.writeBigUInt64LE(BigInt(trailer.indexOffset), 20);
  bytes.set(trailer.rootDigest, 28);
  bytes.set(trailer.keyDigest, 60);
  bytes.writeUInt32LE(trailer.installMs, 92);
  bytes.set(padded(trailer.recipe, RECIPE_LENGTH), RECIPE_AT);
  bytes.set(padded(trailer.runtime, RUNTIME_LENGTH), RUNTIME_AT);
  if (trailer.signature !== undefined) {
    bytes[SIGNED_AT] = 1;
    bytes.set(trailer.signature, SIGNED_AT + 1);
  }
  return bytes;
}

function decodeTrailer(rest: Buffer): Omit<TrailerRecord, 'kind' | 'digest'> {
  const signed = rest.readUInt8(SIGNED_AT) === 1;
  return {
    members: rest.readUInt32LE(0),
    tarBytes: safe(rest.readBigUInt64LE(4)),
    entries: safe(rest.readBigUInt64LE(12)),
    indexOffset: safe(rest.readBigUInt64LE(20)),
    rootDigest: rest.subarray(28, 60),
    keyDigest: rest.subarray(60, 92),
    installMs: rest.readUInt32LE(92),
    recipe: unpadded(rest.subarray(RECIPE_AT, RUNTIME_AT)),
    runtime: unpadded(rest.subarray(RUNTIME_AT, SIGNED_AT)),
    signature: signed ? rest.subarray(SIGNED_AT + 1, SIGNED_AT + 1 + SIGNATURE_LENGTH) : undefined,
  };
}

/** Text is stored as UTF-8 without NUL, which pads it. */
function padded(text: string, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  if (Buffer.byteLength(text) > length || text.includes('\0'))
    throw new Error(`"${text}" does not fit ${length} bytes`);
  bytes.write(text);
  return bytes;
}

function unpadded(bytes: Buffer): string {
  const end = bytes.indexOf(0);
  const text = bytes.toString('utf8', 0, end === -1 ? bytes.length : end);
  if (Buffer.byteLength(text) > bytes.length) throw corrupt('a trailer whose text is not UTF-8');
  return text;
}

function safe(value: bigint): number {
  const number = Number(value);
  if (!Number.isSafeInteger(number)) throw corrupt('a record with a number beyond all bounds');
  return number;
}

const EMPTY = new Uint8Array(0);
