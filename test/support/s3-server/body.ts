/**
 * A request's body: plain, or framed as `aws-chunked`
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-streaming.html and …-streaming-trailers.html).
 * Nothing is stored before every digest that came with it has been checked.
 */
import { createHash } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { CHECKSUM_ALGORITHMS, createChecksum } from './checksums.ts';
import type { ChecksumAlgorithm } from './checksums.ts';
import { s3Error } from './errors.ts';
import { sameText, sha256 } from './signature.ts';
import type { Authentication } from './signature.ts';

export interface ReceivedBody {
  chunks: Buffer[];
  size: number;
  md5: Buffer;
  /** The checksum the client sent along, in a header or in a trailer. */
  checksum: { algorithm: ChecksumAlgorithm; value: string } | undefined;
}

/** Reads a body to its end and checks what the client said of it. */
export async function receiveBody(
  raw: AsyncIterable<Buffer>,
  headers: IncomingHttpHeaders,
  authentication: Authentication,
): Promise<ReceivedBody> {
  const { payloadHash } = authentication;
  const streaming = payloadHash.startsWith('STREAMING-');
  const announced = headers['x-amz-decoded-content-length'] ?? headers['content-length'];
  if (streaming && headers['x-amz-decoded-content-length'] === undefined)
    throw s3Error('MissingContentLength');

  const frames = streaming
    ? new ChunkedDecoder(authentication, String(headers['x-amz-trailer'] ?? ''))
    : undefined;
  const checksums = expectedChecksums(headers);
  const md5 = createHash('md5');
  const payload = /^[0-9a-f]{64}$/.test(payloadHash) ? createHash('sha256') : undefined;
  const chunks: Buffer[] = [];
  let size = 0;
  const take = (data: Buffer): void => {
    if (data.length === 0) return;
    md5.update(data);
    payload?.update(data);
    for (const { running } of checksums) running.update(data);
    chunks.push(data);
    size += data.length;
  };
  for await (const piece of raw) {
    if (frames === undefined) take(piece);
    else for (const data of frames.push(piece)) take(data);
  }
  const trailers = frames?.finish() ?? new Map<string, string>();

  if (announced !== undefined && Number(announced) !== size) throw s3Error('IncompleteBody');
  if (payload !== undefined && payload.digest('hex') !== payloadHash)
    throw s3Error('XAmzContentSHA256Mismatch');
  const digest = md5.digest();
  checkContentMd5(headers['content-md5'], digest);
  return { chunks, size, md5: digest, checksum: checkChecksums(checksums, headers, trailers) };
}

interface ExpectedChecksum {
  algorithm: ChecksumAlgorithm;
  name: string;
  running: ReturnType<typeof createChecksum>;
}

function expectedChecksums(headers: IncomingHttpHeaders): ExpectedChecksum[] {
  return CHECKSUM_ALGORITHMS.map((algorithm) => ({ algorithm, name: `x-amz-checksum-${algorithm}` }))
    .filter(({ name }) => headers[name] !== undefined || headers['x-amz-trailer'] === name)
    .map((expected) => ({ ...expected, running: createChecksum(expected.algorithm) }));
}

function checkChecksums(
  expected: readonly ExpectedChecksum[],
  headers: IncomingHttpHeaders,
  trailers: ReadonlyMap<string, string>,
): ReceivedBody['checksum'] {
  let found: ReceivedBody['checksum'];
  for (const { algorithm, name, running } of expected) {
    const value = running.digest().toString('base64');
    const sent = trailers.get(name) ?? headers[name];
    if (sent !== value) {
      throw s3Error('BadDigest', {
        message: `The ${algorithm.toUpperCase()} you specified did not match the calculated checksum.`,
      });
    }
    found = { algorithm, value };
  }
  return found;
}

function checkContentMd5(sent: string | string[] | undefined, digest: Buffer): void {
  if (sent === undefined) return;
  const bytes = Buffer.from(String(sent), 'base64');
  if (bytes.length !== 16) throw s3Error('InvalidDigest');
  if (!bytes.equals(digest)) {
    throw s3Error('BadDigest', { message: 'The Content-MD5 you specified did not match what we received.' });
  }
}

type DecoderState =
  { type: 'header' } | { type: 'data'; left: number } | { type: 'gap' } | { type: 'trailer' };

const MAX_LINE = 16 * 1024;
const CRLF = Buffer.from('\r\n');

/** Takes `size[;chunk-signature=…]\r\n data \r\n … 0 \r\n trailers \r\n` apart and checks each signature in the chain. */
class ChunkedDecoder {
  private readonly authentication: Authentication;
  private readonly signed: boolean;
  private readonly announcedTrailer: string;
  private readonly trailers = new Map<string, string>();
  private pending: Buffer = Buffer.alloc(0);
  private state: DecoderState = { type: 'header' };
  private previous: string;
  private claimed = '';
  private chunk = createHash('sha256');
  private ended = false;

  constructor(authentication: Authentication, announcedTrailer: string) {
    this.authentication = authentication;
    this.signed = authentication.payloadHash.startsWith('STREAMING-AWS4-HMAC-SHA256-PAYLOAD');
    this.announcedTrailer = announcedTrailer;
    this.previous = authentication.signature;
  }

  push(piece: Buffer): Buffer[] {
    this.pending = this.pending.length === 0 ? piece : Buffer.concat([this.pending, piece]);
    const out: Buffer[] = [];
    while (this.step(out));
    return out;
  }

  /** @throws S3Error IncompleteBody when the last chunk or a promised trailer is missing. */
  finish(): ReadonlyMap<string, string> {
    if (!this.ended) throw s3Error('IncompleteBody');
    if (this.announcedTrailer !== '' && !this.trailers.has(this.announcedTrailer)) {
      throw s3Error('MalformedXML', { message: 'The request is missing the trailer it announced' });
    }
    return this.trailers;
  }

  private step(out: Buffer[]): boolean {
    if (this.ended) return false;
    switch (this.state.type) {
      case 'header': {
        const line = this.line();
        if (line === undefined) return false;
        this.begin(line);
        return true;
      }
      case 'data': {
        if (this.pending.length === 0) return false;
        const data = this.pending.subarray(0, this.state.left);
        this.pending = this.pending.subarray(data.length);
        this.state.left -= data.length;
        this.chunk.update(data);
        out.push(data);
        if (this.state.left === 0) {
          this.checkChunk();
          this.state = { type: 'gap' };
        }
        return true;
      }
      case 'gap': {
        const line = this.line();
        if (line === undefined) return false;
        if (line !== '') throw s3Error('IncompleteBody');
        this.state = { type: 'header' };
        return true;
      }
      case 'trailer': {
        const line = this.line();
        if (line === undefined) return false;
        if (line === '') this.end();
        else this.takeTrailer(line);
        return true;
      }
    }
  }

  private begin(line: string): void {
    const match = /^([0-9a-f]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/i.exec(line);
    if (match === null) throw s3Error('IncompleteBody');
    const size = Number.parseInt(match[1] ?? '', 16);
    this.claimed = match[2] ?? '';
    this.chunk = createHash('sha256');
    if (size > 0) {
      this.state = { type: 'data', left: size };
      return;
    }
    this.checkChunk();
    this.state = { type: 'trailer' };
  }

  private checkChunk(): void {
    if (!this.signed) return;
    const { timestamp, scope, sign } = this.authentication;
    const parts = [
      'AWS4-HMAC-SHA256-PAYLOAD',
      timestamp,
      scope,
      this.previous,
      sha256(''),
      this.chunk.digest('hex'),
    ];
    const expected = sign(parts.join('\n'));
    if (!sameText(expected, this.claimed)) throw s3Error('SignatureDoesNotMatch');
    this.previous = expected;
  }

  private takeTrailer(line: string): void {
    const colon = line.indexOf(':');
    if (colon < 0) throw s3Error('IncompleteBody');
    this.trailers.set(line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim());
  }

  private end(): void {
    this.ended = true;
    const claimed = this.trailers.get('x-amz-trailer-signature');
    if (!this.signed || this.announcedTrailer === '') return;
    const text = [...this.trailers]
      .filter(([name]) => name !== 'x-amz-trailer-signature')
      .map(([name, value]) => `${name}:${value}\n`)
      .join('');
    const { timestamp, scope, sign } = this.authentication;
    const expected = sign(
      ['AWS4-HMAC-SHA256-TRAILER', timestamp, scope, this.previous, sha256(text)].join('\n'),
    );
    if (!sameText(expected, claimed ?? '')) throw s3Error('SignatureDoesNotMatch');
  }

  private line(): string | undefined {
    const end = this.pending.indexOf(CRLF);
    if (end < 0) {
      if (this.pending.length > MAX_LINE) throw s3Error('IncompleteBody');
      return undefined;
    }
    const line = this.pending.subarray(0, end).toString('latin1');
    this.pending = this.pending.subarray(end + 2);
    return line;
  }
}
