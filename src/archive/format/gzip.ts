/**
 * `.tar.gz`: every member is a gzip member (RFC 1952) whose extra field holds the record. Its body is the deflate stream,
 * the CRC and the length. Index and trailer are members that inflate to nothing.
 *
 *     1f 8b 08 04 00000000 00 ff · u16 XLEN · "SC" · u16 LEN · record · body
 */
import { createGunzip, createGzip, gunzipSync, gzipSync } from 'node:zlib';
import { createCompressor } from './compress.ts';
import { checkLength, createDecompressor } from './decompress.ts';
import { isIncompressible } from './incompressible.ts';
import { MAX_RECORD_LENGTH, TRAILER_LENGTH } from './record.ts';
import type { Container, Frame } from './container.ts';

/** No time, no name, unknown system: the same on every machine. */
const HEADER = Buffer.from('1f8b080400000000' + '00ff', 'hex');
const SUBFIELD = Buffer.from('SC');
/** Header, XLEN, subfield name and its length. */
const PRELUDE = HEADER.length + 6;
/** An empty deflate block, CRC 0, length 0. */
const EMPTY_BODY = Buffer.from('03000000000000000000', 'hex');

/** Kinds without a body of their own, see record.ts. */
const INDEX = 3;
const TRAILER = 4;

/** Measured, see docs/archive-format.md. */
const DEFAULT_LEVEL = 4;
/** 2 % faster than with 8, for 0.07 % of size. */
const MEM_LEVEL = 9;

export function gzipContainer(): Container {
  const gzip = createCompressor(createGzip, gzipSync);
  const gunzip = createDecompressor(createGunzip, gunzipSync);
  return {
    compression: 'gzip',
    trailerFrameLength: PRELUDE + TRAILER_LENGTH + EMPTY_BODY.length,
    encodeFrame,
    decodeFrame,
    compress(tar, level = DEFAULT_LEVEL) {
      // zlib's own header goes: ours stands in the frame. That leaves it the CRC and the length, computed natively.
      return gzip(tar, { level: isIncompressible(tar) ? 0 : level, memLevel: MEM_LEVEL }).subarray(10);
    },
    // The frame is the header of this gzip member.
    decompress: (member, _bodyAt, tarLength) => checkLength(gunzip(member, tarLength), tarLength),
  };
}

function encodeFrame(record: Uint8Array): Buffer {
  const empty = record[1] === INDEX || record[1] === TRAILER;
  const frame = Buffer.alloc(PRELUDE + record.length + (empty ? EMPTY_BODY.length : 0));
  HEADER.copy(frame);
  frame.writeUInt16LE(record.length + 4, HEADER.length);
  SUBFIELD.copy(frame, HEADER.length + 2);
  frame.writeUInt16LE(record.length, HEADER.length + 4);
  frame.set(record, PRELUDE);
  if (empty) EMPTY_BODY.copy(frame, PRELUDE + record.length);
  return frame;
}

function decodeFrame(bytes: Buffer): Frame | number | undefined {
  const seen = Math.min(bytes.length, HEADER.length);
  if (HEADER.compare(bytes, 0, seen, 0, seen) !== 0) return undefined;
  if (bytes.length < PRELUDE + 2) return PRELUDE + 2;
  const length = bytes.readUInt16LE(HEADER.length + 4);
  const fits = bytes.readUInt16LE(HEADER.length) === length + 4 && length <= MAX_RECORD_LENGTH;
  if (!fits || SUBFIELD.compare(bytes, HEADER.length + 2, HEADER.length + 4) !== 0) return undefined;

  const kind = bytes[PRELUDE + 1];
  const empty = kind === INDEX || kind === TRAILER;
  const end = PRELUDE + length;
  const frameLength = end + (empty ? EMPTY_BODY.length : 0);
  if (bytes.length < frameLength) return frameLength;
  if (empty && EMPTY_BODY.compare(bytes, end, frameLength) !== 0) return undefined;
  return { frameLength, record: bytes.subarray(PRELUDE, end) };
}
