import { isUtf8, isAscii } from './binary-string.ts';

/**
 * Headers of POSIX pax tar, written and read without objects on the way: packing and unpacking handle some
 * 100,000 a run, and node-tar's `Header` class cost half of a prototype's CPU time.
 *
 * Paths are *binary strings*: one character a byte (`latin1`), so that names which are not UTF-8 survive.
 * `fsPath` makes what `node:fs` takes of one.
 *
 * ustar fields throughout, owner 0:0 without names, microseconds of mtime as `us=123456` in the 12 bytes that
 * ustar leaves unused at the end of the block: a pax record for it would cost 1 KiB a file. What does not fit
 * a field goes into a pax `x` header.
 */
export const BLOCK = 512;
/** Two blocks of zeros end a tar. */
export const END_OF_TAR_LENGTH = 2 * BLOCK;

export const TYPE_FILE = '0';
export const TYPE_HARDLINK = '1';
export const TYPE_SYMLINK = '2';
export const TYPE_DIRECTORY = '5';
export type EntryType = typeof TYPE_FILE | typeof TYPE_HARDLINK | typeof TYPE_SYMLINK | typeof TYPE_DIRECTORY;

export interface TarEntry {
  type: EntryType;
  /** Binary string; a directory's ends in `/`. */
  path: string;
  /** Target of a link, binary string; empty for others. */
  linkPath: string;
  /** Permission bits. */
  mode: number;
  /** Bytes of content: 0 for all but files. */
  size: number;
  /** Microseconds since 1970. */
  mtimeUs: number;
}

/** As it stands in one block; pax and GNU extensions are the caller's. */
export interface RawHeader {
  /** The type flag as it is: `0`, `x`, `g`, `L`, `\0`, … */
  type: string;
  path: string;
  linkPath: string;
  mode: number;
  size: number;
  mtimeUs: number;
}

/** Room for size and seconds: 11 octal digits. */
const MAX_OCTAL = 0o77777777777;
const NAME = 100;
const PREFIX_AT = 345;
const PREFIX = 155;
const MICROSECONDS_AT = 500;
const CHECKSUM_AT = 148;

/** Bytes of tar that content of `size` bytes takes. */
export function paddedLength(size: number): number {
  return Math.ceil(size / BLOCK) * BLOCK;
}

/** Bytes of the entry's header, pax header included. */
export function headerLength(entry: TarEntry): number {
  const pax = paxRecords(entry);
  return pax === '' ? BLOCK : 2 * BLOCK + paddedLength(pax.length);
}

/** Writes the header at `at` and answers where it ends. */
export function encodeHeader(block: Buffer, at: number, entry: TarEntry): number {
  const pax = paxRecords(entry);
  if (pax !== '') {
    encodeBlock(block, at, { ...PAX_HEADER, size: pax.length });
    block.fill(0, at + BLOCK, at + BLOCK + paddedLength(pax.length));
    block.write(pax, at + BLOCK, 'latin1');
    at += BLOCK + paddedLength(pax.length);
  }
  encodeBlock(block, at, entry);
  return at + BLOCK;
}

/** A global header (`g`) with one comment, whole blocks: tar programs read over it. */
export function encodeGlobalComment(comment: string): Buffer {
  const record = paxRecord('comment', comment);
  const blocks = Buffer.alloc(BLOCK + paddedLength(record.length));
  encodeBlock(blocks, 0, { ...GLOBAL_HEADER, size: record.length });
  blocks.write(record, BLOCK, 'latin1');
  return blocks;
}

/**
 * Reads the block at `at`, which must be there whole. Numbers may be octal or base-256 (GNU). Whether a
 * `prefix` counts is up to the magic, as POSIX and GNU have it.
 * @throws RangeError when the checksum (with `check`) or a number is wrong.
 */
export function decodeHeader(block: Buffer, at: number, check: boolean): RawHeader {
  if (check && !hasChecksum(block, at)) throw new RangeError('a tar header with a wrong checksum');
  const posix = block.toString('latin1', at + 257, at + 263) === 'ustar\0';
  const prefix = posix ? text(block, at + PREFIX_AT, PREFIX) : '';
  const name = text(block, at, NAME);
  return {
    type: String.fromCharCode(block[at + 156]!),
    path: prefix === '' ? name : `${prefix}/${name}`,
    linkPath: text(block, at + 157, NAME),
    mode: number(block, at + 100, 8),
    size: number(block, at + 124, 12),
    mtimeUs: number(block, at + 136, 12) * 1e6 + (posix ? microseconds(block, at + MICROSECONDS_AT) : 0),
  };
}

/**
 * `30 path=a/b\n…` → its records, values as binary strings. A later record wins.
 * @throws RangeError when malformed.
 */
export function decodePax(data: Buffer): Map<string, string> {
  const records = new Map<string, string>();
  let at = 0;
  while (at < data.length) {
    const space = data.indexOf(0x20, at);
    const digits = space === -1 || space - at > 10 ? '' : data.toString('latin1', at, space);
    const end = at + Number(digits);
    const equals = data.indexOf(0x3d, space + 1);
    if (
      !/^[1-9]\d*$/.test(digits) ||
      end > data.length ||
      equals < 0 ||
      equals >= end ||
      data[end - 1] !== 0x0a
    )
      throw new RangeError('a malformed pax header');
    records.set(data.toString('latin1', space + 1, equals), data.toString('latin1', equals + 1, end - 1));
    at = end;
  }
  return records;
}

/** `1700000000.123456789` → microseconds, rounded down. @throws RangeError */
export function decodePaxTime(value: string): number {
  const match = /^(-?)(\d{1,12})(?:\.(\d*))?$/.exec(value);
  if (match === null) throw new RangeError('a pax time that is no number');
  const fraction = (match[3] ?? '').padEnd(7, '0');
  const us = Number(match[2]) * 1e6 + Number(fraction.slice(0, 6));
  if (match[1] === '') return us;
  return /[1-9]/.test(fraction.slice(6)) ? -us - 1 : -us;
}

const PAX_HEADER = { type: 'x', path: 'PaxHeader', linkPath: '', mode: 0o644, mtimeUs: 0 };
const GLOBAL_HEADER = { type: 'g', path: 'pax_global_header', linkPath: '', mode: 0o644, mtimeUs: 0 };

/** Everything that is the same in all headers: owner, magic, spaces for the checksum. */
const TEMPLATE = Buffer.alloc(BLOCK);
TEMPLATE.write('0000000\x000000000\x00', 108, 'latin1');
TEMPLATE.write('        ', CHECKSUM_AT, 'latin1');
TEMPLATE.write('ustar\x0000', 257, 'latin1');
const TEMPLATE_SUM = TEMPLATE.reduce((sum, byte) => sum + byte, 0);

function encodeBlock(block: Buffer, at: number, header: RawHeader): void {
  TEMPLATE.copy(block, at);
  let sum = TEMPLATE_SUM;

  const split = splitPath(header.path);
  if (split > 0) {
    sum += put(block, at + PREFIX_AT, header.path.slice(0, split));
    sum += put(block, at, header.path.slice(split + 1));
  } else {
    sum += put(block, at, split === 0 ? header.path : header.path.slice(0, NAME));
  }
  if (header.linkPath !== '') sum += put(block, at + 157, header.linkPath.slice(0, NAME));

  const seconds = Math.floor(header.mtimeUs / 1e6);
  const timeFits = seconds >= 0 && seconds <= MAX_OCTAL;
  sum += octal(block, at + 100, 7, header.mode);
  sum += octal(block, at + 124, 11, header.size <= MAX_OCTAL ? header.size : 0);
  sum += octal(block, at + 136, 11, timeFits ? seconds : 0);
  const us = timeFits ? header.mtimeUs - seconds * 1e6 : 0;
  if (us > 0) sum += put(block, at + MICROSECONDS_AT, `us=${String(us).padStart(6, '0')}`);

  const type = header.type.charCodeAt(0);
  block[at + 156] = type;
  octal(block, at + CHECKSUM_AT, 6, sum + type);
  block[at + CHECKSUM_AT + 6] = 0;
}

/** Where a path is cut into prefix and name; 0 when it fits a name, -1 when it does not fit at all. */
function splitPath(path: string): number {
  if (path.length <= NAME) return 0;
  const cut = path.indexOf('/', path.length - NAME - 1);
  return cut > 0 && cut <= PREFIX && cut < path.length - 1 ? cut : -1;
}

/** What does not fit the ustar fields, as pax records; almost always none. */
function paxRecords(entry: TarEntry): string {
  const { path, linkPath } = entry;
  const ascii = isAscii(path) && isAscii(linkPath);
  let records = '';
  // POSIX: pax text is UTF-8 unless said otherwise. GNU tar says on stderr that it does not know the word,
  // and goes on.
  if (!ascii && !(isUtf8(path) && isUtf8(linkPath))) records += paxRecord('hdrcharset', 'BINARY');
  if (splitPath(path) < 0 || (!ascii && !isAscii(path))) records += paxRecord('path', path);
  if (linkPath.length > NAME || (!ascii && !isAscii(linkPath))) records += paxRecord('linkpath', linkPath);
  if (entry.size > MAX_OCTAL) records += paxRecord('size', String(entry.size));
  if (entry.mtimeUs < 0 || entry.mtimeUs >= (MAX_OCTAL + 1) * 1e6)
    records += paxRecord('mtime', decimalSeconds(entry.mtimeUs));
  return records;
}

/** The length of a record counts itself. */
function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length + 1;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return length + rest;
}

function decimalSeconds(us: number): string {
  const whole = BigInt(Math.abs(us));
  return `${us < 0 ? '-' : ''}${whole / 1_000_000n}.${String(whole % 1_000_000n).padStart(6, '0')}`;
}

/** Writes and answers the sum of the bytes. */
function put(block: Buffer, at: number, value: string): number {
  let sum = 0;
  for (let n = 0; n < value.length; n++) {
    const byte = value.charCodeAt(n);
    block[at + n] = byte;
    sum += byte;
  }
  return sum;
}

/** Writes so many octal digits; the NUL behind them is the template's. Answers the sum of the bytes. */
function octal(block: Buffer, at: number, digits: number, value: number): number {
  let sum = 0;
  for (let n = at + digits - 1; n >= at; n--) {
    const digit = 0x30 + (value % 8);
    block[n] = digit;
    sum += digit;
    value = Math.floor(value / 8);
  }
  return sum;
}

function text(block: Buffer, at: number, length: number): string {
  const end = block.indexOf(0, at);
  return block.toString('latin1', at, end === -1 || end > at + length ? at + length : end);
}

function number(block: Buffer, at: number, length: number): number {
  if ((block[at]! & 0x80) !== 0) return base256(block, at, length);
  let value = 0;
  let n = at;
  const end = at + length;
  while (n < end && block[n] === 0x20) n++;
  for (; n < end; n++) {
    const digit = block[n]! - 0x30;
    if (digit < 0 || digit > 7) break;
    value = value * 8 + digit;
  }
  for (; n < end; n++)
    if (block[n] !== 0 && block[n] !== 0x20) throw new RangeError('a tar header with a malformed number');
  return value;
}

function base256(block: Buffer, at: number, length: number): number {
  const negative = block[at] === 0xff;
  let value = negative ? -1 : block[at]! & 0x7f;
  for (let n = at + 1; n < at + length; n++) value = value * 256 + block[n]!;
  if (!Number.isSafeInteger(value)) throw new RangeError('a tar header with a number beyond all bounds');
  return value;
}

/** `us=123456` → 123456; other tar programs may leave anything there. */
function microseconds(block: Buffer, at: number): number {
  if (block[at] !== 0x75 || block[at + 1] !== 0x73 || block[at + 2] !== 0x3d) return 0;
  let value = 0;
  for (let n = at + 3; n < at + 9; n++) {
    const digit = block[n]! - 0x30;
    if (digit < 0 || digit > 9) return 0;
    value = value * 10 + digit;
  }
  return value;
}

function hasChecksum(block: Buffer, at: number): boolean {
  let sum = 8 * 0x20;
  for (let n = 0; n < BLOCK; n++) if (n < CHECKSUM_AT || n >= CHECKSUM_AT + 8) sum += block[at + n]!;
  return sum === number(block, at + CHECKSUM_AT, 8);
}
