/**
 * Every answer of the service, before the SDK reads it. The SDK takes any header or date that it cannot parse
 * for a failure of the whole request, and collects error documents and listings without a limit. So what we
 * do not use is left out, what is no date is left out, and a document has a size.
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
  /** The error for a web page in the place of an answer. */
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
      // After the signature: Google's service rewrites this header, and then refuses a signature that covers
      // it.
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
          // The SDK would take it for an empty bucket.
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
 * A content coding that was not asked for: `gzip`. The service keeps what a writer declared; a proxy may have
 * encoded by itself.
 */
export function foreignEncoding(header: string | undefined): string | undefined {
  const codings = (header ?? '').split(',').map((coding) => coding.trim().toLowerCase());
  return codings.find((coding) => coding !== '' && coding !== 'identity' && coding !== 'aws-chunked');
}

/**
 * A success, to look at: web servers and login pages say 200 to everything, and the SDK reads nothing out of
 * it.
 */
function isWebPage({ statusCode, headers }: RawResponse): boolean {
  // A gateway's 502 is a page as well, but a failure that passes.
  if (statusCode >= 300) return false;
  if (!/^text\/html/i.test(headers['content-type'] ?? '')) return false;
  // moto calls its empty answers text/html too; like every S3 server, it signs them with a request id.
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

/** What is read of an object's answer, but for its date and its metadata. */
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
    // A gateway's page says nothing that its status does not.
    if (statusCode >= 500) return Buffer.alloc(0);
    throw new TransferError('nonsense', `an answer came encoded (${encoding}), which was not asked for`);
  }
  const stalled = (): unknown =>
    body.destroy(new TransferError('stalled', `no byte for ${stallTimeoutMs} ms`));
  const watchdog = setTimeout(stalled, stallTimeoutMs);
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    // Left early, the loop ends the connection.
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

/** A listing without dates that are none, and without empty sizes, which the SDK takes for 0. */
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

/** Milliseconds since 1970; undefined for what is no date, or one that four digits of a year cannot tell. */
function parseDate(text: string | undefined): number | undefined {
  const time = Date.parse(text ?? '');
  return time >= FIRST_TIME && time < END_OF_TIME ? time : undefined;
}

const FIRST_TIME = Date.UTC(1000, 0);
const END_OF_TIME = Date.UTC(10_000, 0);

/** Whoever else listens to it has no use for an error of it any more. */
function discard(body: Readable): void {
  body.on('error', () => {}).destroy();
}
