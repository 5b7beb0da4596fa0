/**
 * Checks every response before the SDK reads it. If the SDK cannot parse a header or a date, the whole
 * request fails, and it collects error documents and listings without a limit. So headers that we do not use
 * and invalid dates are removed, and documents have a size limit.
 */
import type { S3Client } from '@aws-sdk/client-s3';
import { Readable } from 'node:stream';
import type { CacheError } from '../../../errors.ts';
import { TransferError } from '../errors/classify.ts';

export interface GuardOptions {
  /** Longest time without a byte of a document, milliseconds. */
  stallTimeoutMs: number;
  /** Called with every answer, and with the service's own time in milliseconds where it tells it. */
  onAnswer: (date: number | undefined) => void;
  /** The error for a web page instead of a response. */
  refuse: (evidence: string) => CacheError;
}

interface RawResponse {
  statusCode: number;
  headers: Record<string, string>;
  body: Readable;
}

const MIB = 1024 * 1024;
/** A page of 1,000 keys of 1,024 bytes, each written as `%XX`, takes 4 MiB. */
const MAX_LISTING_BYTES = 16 * MIB;
const MAX_DOCUMENT_BYTES = MIB;

export function guardAnswers(client: S3Client, options: GuardOptions): void {
  client.middlewareStack.add(
    (next) => (args) => {
      // Set after signing, because Google's service rewrites this header and then refuses a signature that
      // covers it.
      (args.request as { headers: Record<string, string> }).headers['accept-encoding'] = 'identity';
      return next(args);
    },
    { step: 'finalizeRequest', priority: 'low', name: 'askForIdentity' },
  );
  client.middlewareStack.add(
    (next, { commandName }) =>
      async (args) => {
        const result = await next(args);
        const answer = result.response as RawResponse;
        options.onAnswer(parseDate(answer.headers['date']));
        if (isWebPage(answer)) {
          discard(answer.body);
          throw options.refuse('it answers with a web page');
        }
        if (commandName === 'GetObjectCommand' && answer.statusCode < 300) {
          answer.headers = objectHeaders(answer.headers);
        } else if (commandName === 'ListObjectsV2Command') {
          const document = await readDocument(answer, MAX_LISTING_BYTES, options);
          // The SDK would take this for an empty bucket.
          if (answer.statusCode < 300 && !isListing(document))
            throw options.refuse('its answer to a listing is none');
          answer.body = Readable.from([withoutNonsense(document)]);
        } else {
          answer.body = Readable.from([await readDocument(answer, MAX_DOCUMENT_BYTES, options)]);
        }
        return result;
      },
    { step: 'deserialize', priority: 'low', name: 'guardAnswers' },
  );
}

/**
 * Returns a content coding that was not asked for, e.g. `gzip`. The writer may have declared it, or a proxy
 * may have encoded the body.
 */
export function foreignEncoding(header: string | undefined): string | undefined {
  const codings = (header ?? '').split(',').map((coding) => coding.trim().toLowerCase());
  return codings.find((coding) => coding !== '' && coding !== 'identity' && coding !== 'aws-chunked');
}

/**
 * Whether it is a web page. Web servers and login pages answer everything with 200, and the SDK would see a
 * success.
 */
function isWebPage({ statusCode, headers }: RawResponse): boolean {
  // A gateway's 502 is a page too, but it is a temporary error.
  if (statusCode >= 300) return false;
  if (!/^text\/html/i.test(headers['content-type'] ?? '')) return false;
  // moto declares its empty responses as text/html too, but adds a request id, like every S3 server.
  return !Object.keys(headers).some((name) => name.startsWith('x-amz'));
}

function objectHeaders(headers: Record<string, string>): Record<string, string> {
  const kept = Object.entries(headers).filter(
    ([name]) => OBJECT_HEADERS.has(name) || name.startsWith('x-amz-meta-'),
  );
  const modified = parseDate(headers['last-modified']);
  if (modified !== undefined) kept.push(['last-modified', new Date(modified).toUTCString()]);
  return Object.fromEntries(kept);
}

/** The headers of an object's response that are read, besides its date and its metadata. */
const OBJECT_HEADERS = new Set([
  'content-encoding',
  'content-length',
  'content-range',
  'content-type',
  'etag',
  'x-amz-expiration',
]);

/** @throws TransferError, or what the connection ended with */
async function readDocument(
  { statusCode, headers, body }: RawResponse,
  maxBytes: number,
  { stallTimeoutMs }: GuardOptions,
): Promise<Buffer> {
  const encoding = foreignEncoding(headers['content-encoding']);
  if (encoding !== undefined) {
    discard(body);
    // The page of a gateway says no more than its status.
    if (statusCode >= 500) return Buffer.alloc(0);
    throw new TransferError('nonsense', `an answer came encoded (${encoding}), which was not asked for`);
  }
  const stalled = (): unknown =>
    body.destroy(new TransferError('stalled', `no byte for ${stallTimeoutMs} ms`));
  const watchdog = setTimeout(stalled, stallTimeoutMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // Leaving the loop early closes the connection.
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      watchdog.refresh();
      chunks.push(chunk);
      length += chunk.length;
      if (length > maxBytes)
        throw new TransferError('nonsense', `an answer is longer than ${maxBytes / MIB} MiB`);
    }
  } finally {
    clearTimeout(watchdog);
  }
  return Buffer.concat(chunks);
}

function isListing(document: Buffer): boolean {
  return /<(\w+:)?(ListBucketResult|Error)\b/.test(document.toString());
}

/** Removes invalid dates from a listing, and empty sizes, which the SDK would take for 0. */
function withoutNonsense(document: Buffer): Buffer {
  const text = document
    .toString('utf8')
    .replace(/<Size>\s*<\/Size>/g, '')
    .replace(/<LastModified>([^<]*)<\/LastModified>/g, (_, date) => {
      const modified = parseDate(String(date));
      return modified === undefined ? '' : `<LastModified>${new Date(modified).toISOString()}</LastModified>`;
    });
  return Buffer.from(text);
}

/** Milliseconds since 1970. Undefined if it is not a date, or its year does not have four digits. */
function parseDate(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return time >= FIRST_TIME && time < END_OF_TIME ? time : undefined;
}

const FIRST_TIME = Date.UTC(1000, 0);
const END_OF_TIME = Date.UTC(10_000, 0);

/** Drops a body. Its errors no longer matter to anybody. */
function discard(body: Readable): void {
  body.on('error', () => {}).destroy();
}
