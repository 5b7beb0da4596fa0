/**
 * `.tar`: nothing is compressed. A record stands in a pax global header before the entries of its member, as
 * a comment that tar programs read over; index and trailer stand in blocks of their own after the end of the
 * tar.
 *
 *     pax 'g' header: comment=sandbox-cache <record, base64> · tar entries
 *     "sandbox-cache\r\n\0" · u32 length · record · zeros up to 512
 *
 * Nothing can stand between the pieces of one file: they follow an `open` record without frames of their own.
 */
import { BLOCK, encodeGlobalComment, paddedLength } from './tar-header.ts';
import { MAX_RECORD_LENGTH, TRAILER_LENGTH, isOfTail } from './record.ts';
import { createScratch } from './scratch.ts';
import { type Container, type Frame, checkLength } from './container.ts';

const COMMENT = 'sandbox-cache ';
const HEADER_NAME = Buffer.from('pax_global_header\0');
const SIZE_AT = 124;
const MAGIC = Buffer.from('sandbox-cache\r\n\0');
const PRELUDE = MAGIC.length + 4;

export function plainContainer(): Container {
  return {
    compression: 'none',
    trailerFrameLength: paddedLength(PRELUDE + TRAILER_LENGTH),
    encodeFrame(record) {
      return isOfTail(record) ? encodeTail(record) : encodeComment(record);
    },
    decodeFrame(bytes) {
      return bytes[0] === MAGIC[0] ? decodeTail(bytes) : decodeComment(bytes);
    },
    room: createScratch(),
    compress: (tar) => Buffer.from(tar.buffer, tar.byteOffset, tar.length),
    decompress: (member, bodyAt, tarLength) => checkLength(member.subarray(bodyAt), tarLength),
  };
}

function encodeComment(record: Uint8Array): Buffer {
  return encodeGlobalComment(COMMENT + Buffer.from(record).toString('base64'));
}

function decodeComment(bytes: Buffer): Frame | number | undefined {
  const seen = Math.min(bytes.length, HEADER_NAME.length);
  if (HEADER_NAME.compare(bytes, 0, seen, 0, seen) !== 0) return undefined;
  if (bytes.length < BLOCK) return BLOCK;
  const size = parseInt(bytes.toString('latin1', SIZE_AT, SIZE_AT + 11), 8);
  if (!(size <= 2 * MAX_RECORD_LENGTH)) return undefined;
  const frameLength = BLOCK + paddedLength(size);
  if (bytes.length < frameLength) return frameLength;
  const match = /^\d+ comment=sandbox-cache ([\w+/=]+)\n$/.exec(
    bytes.toString('latin1', BLOCK, BLOCK + size),
  );
  return match === null
    ? undefined
    : canonical(bytes, frameLength, Buffer.from(match[1]!, 'base64'), encodeComment);
}

function encodeTail(record: Uint8Array): Buffer {
  const frame = Buffer.alloc(paddedLength(PRELUDE + record.length));
  MAGIC.copy(frame);
  frame.writeUInt32LE(record.length, MAGIC.length);
  frame.set(record, PRELUDE);
  return frame;
}

function decodeTail(bytes: Buffer): Frame | number | undefined {
  const seen = Math.min(bytes.length, MAGIC.length);
  if (MAGIC.compare(bytes, 0, seen, 0, seen) !== 0) return undefined;
  if (bytes.length < BLOCK) return BLOCK;
  const length = bytes.readUInt32LE(MAGIC.length);
  if (length > MAX_RECORD_LENGTH) return undefined;
  const frameLength = paddedLength(PRELUDE + length);
  if (bytes.length < frameLength) return frameLength;
  return canonical(bytes, frameLength, Buffer.from(bytes.subarray(PRELUDE, PRELUDE + length)), encodeTail);
}

/** Header fields, padding and base64 leave room for other bytes of the same meaning: only our own count. */
function canonical(
  bytes: Buffer,
  frameLength: number,
  record: Buffer,
  encode: (record: Uint8Array) => Buffer,
): Frame | undefined {
  if (!encode(record).equals(bytes.subarray(0, frameLength))) return undefined;
  return { frameLength, record };
}
