/**
 * `.tar.gz`: every member is a gzip member (RFC 1952) whose extra field holds the record. Its body is the
 * deflate stream, the CRC and the length. Index and trailer are members that inflate to nothing.
 *
 *     1f 8b 08 04 00000000 00 ff · u16 XLEN · "SC" · u16 LEN · record · body
 */
import { crc32 } from 'node:zlib';
import { undecompressible } from '../errors.ts';
import { wasm, type Effort } from '../wasm/instance.ts';
import { MAX_RECORD_LENGTH, TRAILER_LENGTH, isOfTail } from './record.ts';
import type { Container, Frame } from './container.ts';

/** No time, no name, unknown system: the same on every machine. */
const HEADER = Buffer.from('1f8b080400000000' + '00ff', 'hex');
const SUBFIELD = Buffer.from('SC');
/** Header, XLEN, subfield name and its length. */
const PRELUDE = HEADER.length + 6;
/** CRC-32 and length. */
const FOOTER = 8;
/** An empty deflate block, CRC 0, length 0. */
const EMPTY_BODY = Buffer.from('03000000000000000000', 'hex');

/**
 * What the levels 1 to 9 mean: sizes like those of zlib's, in less time. Measured, see
 * docs/archive-format.md.
 */
const EFFORTS: readonly Effort[] = [
  { depth: 2, nice: 16, lazy: false },
  { depth: 4, nice: 24, lazy: false },
  { depth: 8, nice: 30, lazy: false },
  { depth: 12, nice: 30, lazy: false },
  { depth: 16, nice: 65, lazy: true },
  { depth: 35, nice: 130, lazy: true },
  { depth: 80, nice: 258, lazy: true },
  { depth: 200, nice: 258, lazy: true },
  { depth: 800, nice: 258, lazy: true },
];
const DEFAULT_LEVEL = 4;

export function gzipContainer(): Container {
  return {
    compression: 'gzip',
    trailerFrameLength: PRELUDE + TRAILER_LENGTH + EMPTY_BODY.length,
    encodeFrame,
    decodeFrame,
    room: (length) => wasm().room(length),
    compress(tar, level = DEFAULT_LEVEL) {
      const effort = EFFORTS[level - 1];
      if (effort === undefined) throw new Error(`level ${level}`);
      const body = wasm().deflate(tar, effort, FOOTER);
      body.writeUInt32LE(crc32(tar), body.length - FOOTER);
      body.writeUInt32LE(tar.length, body.length - FOOTER + 4);
      return body;
    },
    decompress(member, bodyAt, tarLength) {
      const end = Math.max(bodyAt, member.length - FOOTER);
      const tar = wasm().inflate(member.subarray(bodyAt, end), tarLength);
      if (tar === undefined) throw undecompressible(`no deflate stream of ${tarLength} bytes`);
      if (member.length < bodyAt + FOOTER || member.readUInt32LE(end) !== crc32(tar))
        throw undecompressible('incorrect CRC');
      if (member.readUInt32LE(end + 4) !== tarLength) throw undecompressible('incorrect length');
      return tar;
    },
  };
}

function encodeFrame(record: Uint8Array): Buffer {
  const empty = isOfTail(record);
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

  const empty = isOfTail(bytes.subarray(PRELUDE));
  const end = PRELUDE + length;
  const frameLength = end + (empty ? EMPTY_BODY.length : 0);
  if (bytes.length < frameLength) return frameLength;
  if (empty && EMPTY_BODY.compare(bytes, end, frameLength) !== 0) return undefined;
  return { frameLength, record: bytes.subarray(PRELUDE, end) };
}
