/**
 * A ticket: URLs, signed in advance, that read exact entries without any credentials, as one text for
 * `CACHE_TICKET`. The text is `t1.` and base64url of deflated JSON: any shell, Compose and kubectl take it as
 * it is.
 */
import { CacheError } from './errors.ts';

export interface Ticket {
  bucket: string;
  /** What its keys begin with. */
  prefix: string;
  /** Where all its URLs begin, e.g. `https://bucket.s3.eu-central-1.amazonaws.com`. */
  origin: string;
  /** When the first of its URLs ends, milliseconds since 1970. */
  expiresMs: number;
  entries: readonly TicketEntry[];
}

export interface TicketEntry {
  key: string;
  /** Path and signed query, to go behind the origin. */
  url: string;
  /** The object that was there when the ticket was made; undefined: none was. */
  found?: { size: number; etag: string; modifiedMs: number | undefined } | undefined;
}

/** Longest text of a ticket: one variable of a process may take 128 kB, all of a container's some more. */
export const MOST_TICKET_BYTES = 32_000;

/** Every start loads this file, and few read a ticket: Node's zlib takes 1 ms. */
const zlib = () => process.getBuiltinModule('node:zlib');

const MARK = 't1.';
/** A ticket of the longest text that is no attack stays far below. */
const MOST_JSON_BYTES = 1024 * 1024;

/** @throws CacheError USAGE for more than one variable should hold */
export function encodeTicket({ bucket, prefix, origin, expiresMs, entries }: Ticket): string {
  const rows = entries.map(({ key, url, found }) =>
    found === undefined ? [key, url] : [key, url, found.size, found.etag, found.modifiedMs ?? null],
  );
  const json = JSON.stringify([bucket, prefix, origin, expiresMs, rows]);
  const text = MARK + zlib().deflateRawSync(json, { level: 9 }).toString('base64url');
  if (text.length < MOST_TICKET_BYTES) return text;
  throw new CacheError('USAGE', `${entries.length} entries are too many for one ticket`, {
    hint: 'Name fewer recipes, runtimes and keys, or make several tickets.',
  });
}

/** @throws CacheError CONFIG_INVALID for a text that `encodeTicket` does not make; it never shows the text */
export function decodeTicket(text: string): Ticket {
  try {
    if (!text.startsWith(MARK) || text.length > MOST_TICKET_BYTES) throw new Error('no ticket');
    const bytes = Buffer.from(text.slice(MARK.length), 'base64url');
    return checked(
      JSON.parse(zlib().inflateRawSync(bytes, { maxOutputLength: MOST_JSON_BYTES }).toString('utf8')),
    );
  } catch {
    throw new CacheError('CONFIG_INVALID', 'CACHE_TICKET is not a whole ticket', {
      hint: 'It takes what sandbox-cache ticket prints behind CACHE_TICKET=, with nothing cut off.',
    });
  }
}

/** @throws Error */
function checked(value: unknown): Ticket {
  const [bucket, prefix, origin, expiresMs, rows, ...more] = arrayOf(value);
  if (more.length > 0) throw new Error('more than a ticket holds');
  const ticket = {
    bucket: textOf(bucket),
    prefix: textOf(prefix),
    origin: originOf(textOf(origin)),
    expiresMs: numberOf(expiresMs),
    entries: arrayOf(rows).map(entryOf),
  };
  if (!/^[A-Za-z0-9._-]+$/.test(ticket.bucket)) throw new Error('no bucket');
  if (!ticket.entries.every(({ key, url }) => pathOf(url).endsWith(`/${key}`)))
    throw new Error('a URL of another key');
  if (!ticket.entries.every(({ key }) => key.startsWith(`${ticket.prefix}/`)))
    throw new Error('a key outside the prefix');
  return ticket;
}

function entryOf(value: unknown): TicketEntry {
  const [key, url, ...found] = arrayOf(value);
  const entry = { key: textOf(key), url: textOf(url) };
  if (found.length === 0) return entry;
  const [size, etag, modified] = found;
  const modifiedMs = modified === null ? undefined : numberOf(modified);
  return { ...entry, found: { size: numberOf(size), etag: textOf(etag), modifiedMs } };
}

/** The key is in the path as it is, each character that needs it as `%XX`. */
function pathOf(url: string): string {
  const path = url.split('?', 1)[0] ?? '';
  if (!path.startsWith('/') || path.startsWith('//')) throw new Error('no path');
  return decodeURIComponent(path);
}

function originOf(text: string): string {
  const { origin, protocol } = new URL(text);
  if (origin !== text || !/^https?:$/.test(protocol)) throw new Error('no origin');
  return origin;
}

function arrayOf(value: unknown): unknown[] {
  if (!Array.isArray(value)) throw new Error('no list');
  return value;
}

/** Without control characters: keys reach the terminal, and URLs a request. */
function textOf(value: unknown): string {
  // oxlint-disable-next-line no-control-regex
  if (typeof value !== 'string' || value === '' || /[\u0000-\u001f\u007f]/.test(value))
    throw new Error('no text');
  return value;
}

function numberOf(value: unknown): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < 0) throw new Error('no number');
  return value;
}
