/** Tar archives block by block, with every field as the test wants it: written from POSIX, not with our own encoder. */

export interface RawEntry {
  /** Type flag. @default '0' */
  type?: string;
  path: string;
  /** @default '' */
  linkPath?: string;
  /** Content; padded here. @default nothing */
  data?: string | Buffer;
  /** What the size field says, when it lies. A string is put in as it is. @default the data's length */
  size?: number | string | Buffer;
  /** @default 0o644 */
  mode?: number;
  /** Whole seconds. @default 1700000000 */
  mtime?: number;
  prefix?: string;
  /** 8 bytes. @default `ustar\0` and `00` */
  magic?: string;
  /** What the checksum field says, when it lies. */
  checksum?: string;
}

export function rawEntry(entry: RawEntry): Buffer {
  const data = Buffer.from(entry.data ?? '');
  return Buffer.concat([rawHeader({ ...entry, size: entry.size ?? data.length }), padded(data)]);
}

export function rawHeader(entry: RawEntry): Buffer {
  const block = Buffer.alloc(512);
  block.write(entry.path, 0, 100, 'latin1');
  block.write(octal(entry.mode ?? 0o644, 7), 100);
  block.write('0000000\x000000000\x00', 108, 'latin1');
  const size = entry.size ?? 0;
  if (Buffer.isBuffer(size)) size.copy(block, 124, 0, 12);
  else block.write(typeof size === 'string' ? size : octal(size, 11), 124, 12, 'latin1');
  block.write(octal(entry.mtime ?? 1_700_000_000, 11), 136);
  block.write('        ', 148);
  block.write(entry.type ?? '0', 156, 1, 'latin1');
  block.write(entry.linkPath ?? '', 157, 100, 'latin1');
  block.write(entry.magic ?? 'ustar\x0000', 257, 8, 'latin1');
  block.write(entry.prefix ?? '', 345, 155, 'latin1');
  const sum = block.reduce((total, byte) => total + byte, 0);
  block.write(entry.checksum ?? `${octal(sum, 6)}\0 `, 148, 8, 'latin1');
  return block;
}

/** A pax header (`x`, or `g` for all) with these records; lengths are right unless `raw` is given. */
export function paxEntry(records: Record<string, string>, type = 'x'): Buffer {
  const data = Object.entries(records)
    .map(([key, value]) => paxRecord(key, value))
    .join('');
  return rawEntry({ type, path: 'PaxHeader', data: Buffer.from(data, 'latin1') });
}

export function paxRecord(key: string, value: string): string {
  const rest = ` ${key}=${value}\n`;
  let length = rest.length;
  while (String(length).length + rest.length !== length) length = String(length).length + rest.length;
  return length + rest;
}

/** A GNU long name (`L`) or link (`K`) for the entry that follows. */
export function gnuLong(type: 'L' | 'K', name: string): Buffer {
  return rawEntry({
    type,
    path: '././@LongLink',
    data: Buffer.from(`${name}\0`, 'latin1'),
    magic: 'ustar  \0',
  });
}

export const END_OF_TAR = Buffer.alloc(1024);

/** A whole tar. */
export function rawTar(...parts: (RawEntry | Buffer)[]): Buffer {
  return Buffer.concat([...parts.map((part) => (Buffer.isBuffer(part) ? part : rawEntry(part))), END_OF_TAR]);
}

function padded(data: Buffer): Buffer {
  return Buffer.concat([data, Buffer.alloc((512 - (data.length % 512)) % 512)]);
}

function octal(value: number, digits: number): string {
  return Math.trunc(value).toString(8).padStart(digits, '0');
}
