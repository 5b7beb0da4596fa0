/**
 * Signature Version 4 as a server checks it, in headers and in URLs signed in advance
 * (https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html, sigv4-query-string-auth.html).
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';
import { s3Error } from './errors.ts';

export interface S3User {
  accessKeyId: string;
  secretAccessKey: string;
  /** Temporary credentials: requests must carry exactly this token. */
  sessionToken?: string;
  /** Every request is refused with ExpiredToken. @default false */
  expired?: boolean;
  /** Operations that answer 403 AccessDenied; all the others are allowed. @default none */
  deny?: (operation: string) => boolean;
}

export interface SignedRequest {
  method: string;
  /** As it came in, with its percent escapes and without the query. */
  rawPath: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  /** Whose API it is of. @default 's3' */
  service?: string;
}

/** A request whose signature held, and what its chunks' signatures are derived from. */
export interface Authentication {
  user: S3User;
  region: string;
  payloadHash: string;
  /** Signs the next string of a chunked body. */
  sign: (stringToSign: string) => string;
  /** `20250101T000000Z` */
  timestamp: string;
  /** `20250101/us-east-1/s3/aws4_request` */
  scope: string;
  signature: string;
}

const MAX_SKEW_MS = 15 * 60 * 1000;
const AUTHORIZATION =
  /^AWS4-HMAC-SHA256 +Credential=([^/,]+)\/(\d{8})\/([^/,]+)\/([^/,]+)\/aws4_request, *SignedHeaders=([^,]+), *Signature=([0-9a-f]{64})$/;

/** @throws S3Error as Amazon S3 answers: AccessDenied, InvalidAccessKeyId, RequestTimeTooSkewed, SignatureDoesNotMatch … */
export function authenticate(request: SignedRequest, users: readonly S3User[], now: Date): Authentication {
  const { headers } = request;
  if (request.query.has('X-Amz-Signature')) return authenticateUrl(request, users, now);
  if (headers.authorization === undefined) throw s3Error('AccessDenied');
  const match = AUTHORIZATION.exec(headers.authorization);
  if (match === null) throw s3Error('AuthorizationHeaderMalformed');
  const [, accessKeyId = '', day = '', region = '', service = '', names = '', signature = ''] = match;
  const user = users.find((candidate) => candidate.accessKeyId === accessKeyId);
  if (user === undefined) {
    throw s3Error('InvalidAccessKeyId', { elements: { AWSAccessKeyId: accessKeyId } });
  }
  const token = headers['x-amz-security-token'];
  if (user.sessionToken !== token) throw s3Error('InvalidToken');
  if (service !== (request.service ?? 's3')) throw s3Error('AuthorizationHeaderMalformed');

  if (user.expired === true) throw s3Error('ExpiredToken');
  const timestamp = String(headers['x-amz-date'] ?? '');
  checkClock(timestamp, day, now);

  const payloadHash = String(headers['x-amz-content-sha256'] ?? '');
  if (payloadHash === '') {
    throw s3Error('InvalidRequest', {
      message: 'Missing required header for this request: x-amz-content-sha256',
    });
  }
  const signedNames = names.split(';');
  if (service === 's3') requireSigned(headers, signedNames);

  const scope = `${day}/${region}/${service}/aws4_request`;
  const canonical = canonicalRequest(request, signedNames, payloadHash);
  const key = signingKey(user.secretAccessKey, scope);
  const sign = (text: string): string => createHmac('sha256', key).update(text).digest('hex');
  const expected = sign(`AWS4-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(canonical)}`);
  if (!sameText(expected, signature)) {
    throw s3Error('SignatureDoesNotMatch', {
      elements: { AWSAccessKeyId: accessKeyId, SignatureProvided: signature, CanonicalRequest: canonical },
    });
  }
  return { user, region, payloadHash, sign, timestamp, scope, signature };
}

/** A URL that was signed in advance: everything about the signature is in the query, and `host` alone is signed. */
function authenticateUrl(request: SignedRequest, users: readonly S3User[], now: Date): Authentication {
  const parameter = (name: string): string => request.query.get(`X-Amz-${name}`) ?? '';
  const [accessKeyId = '', day = '', region = '', service = ''] = parameter('Credential').split('/');
  const user = users.find((candidate) => candidate.accessKeyId === accessKeyId);
  if (user === undefined) throw s3Error('InvalidAccessKeyId', { elements: { AWSAccessKeyId: accessKeyId } });
  if ((user.sessionToken ?? '') !== parameter('Security-Token')) throw s3Error('InvalidToken');
  const timestamp = parameter('Date');
  const seconds = Number(parameter('Expires'));
  if (service !== 's3' || !(seconds > 0 && seconds <= 604_800)) throw s3Error('AccessDenied');
  if (now.getTime() > timeOf(timestamp) + seconds * 1000)
    throw s3Error('AccessDenied', { message: 'Request has expired' });
  const signedNames = parameter('SignedHeaders').split(';');
  requireSigned(request.headers, signedNames);
  const query = new URLSearchParams([...request.query].filter(([name]) => name !== 'X-Amz-Signature'));
  const scope = `${day}/${region}/${service}/aws4_request`;
  const payloadHash = 'UNSIGNED-PAYLOAD';
  const canonical = canonicalRequest({ ...request, query }, signedNames, payloadHash);
  const key = signingKey(user.secretAccessKey, scope);
  const sign = (text: string): string => createHmac('sha256', key).update(text).digest('hex');
  const signature = parameter('Signature');
  if (!sameText(sign(`AWS4-HMAC-SHA256\n${timestamp}\n${scope}\n${sha256(canonical)}`), signature))
    throw s3Error('SignatureDoesNotMatch', { elements: { CanonicalRequest: canonical } });
  return { user, region, payloadHash, sign, timestamp, scope, signature };
}

/** `20130524T000000Z` → milliseconds since 1970 */
function timeOf(timestamp: string): number {
  return Date.parse(timestamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z'));
}

function checkClock(timestamp: string, day: string, now: Date): void {
  const parts = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/.exec(timestamp);
  if (parts === null || !timestamp.startsWith(day)) throw s3Error('AccessDenied');
  const [year = 0, month = 0, date = 0, hour = 0, minute = 0, second = 0] = parts.slice(1).map(Number);
  const sent = Date.UTC(year, month - 1, date, hour, minute, second);
  if (Math.abs(sent - now.getTime()) > MAX_SKEW_MS) {
    throw s3Error('RequestTimeTooSkewed', {
      elements: {
        RequestTime: timestamp,
        ServerTime: now.toISOString().replace(/\.\d+Z$/, 'Z'),
        MaxAllowedSkewMilliseconds: String(MAX_SKEW_MS),
      },
    });
  }
}

/** S3 insists that `host` and every `x-amz-*` header is signed: else somebody between could add one. */
function requireSigned(headers: IncomingHttpHeaders, signedNames: readonly string[]): void {
  const unsigned = Object.keys(headers).filter((name) => name.startsWith('x-amz-') || name === 'host');
  const missing = unsigned.filter((name) => !signedNames.includes(name));
  if (missing.length > 0) {
    throw s3Error('AccessDenied', {
      message: 'There were headers present in the request which were not signed',
      elements: { HeadersNotSigned: missing.join(', ') },
    });
  }
}

function canonicalRequest(
  request: SignedRequest,
  signedNames: readonly string[],
  payloadHash: string,
): string {
  const path = request.rawPath
    .split('/')
    .map((part) => encode(decodeURIComponent(part)))
    .join('/');
  const query = [...request.query]
    .map(([name, value]) => [encode(name), encode(value)] as const)
    .sort(([a, x], [b, y]) => (a === b ? compare(x, y) : compare(a, b)))
    .map(([name, value]) => `${name}=${value}`)
    .join('&');
  const headers = signedNames.map((name) => `${name}:${headerValue(request.headers, name)}\n`).join('');
  return [request.method, path, query, headers, signedNames.join(';'), payloadHash].join('\n');
}

function headerValue(headers: IncomingHttpHeaders, name: string): string {
  return [headers[name] ?? ''].flat().join(',').trim().replace(/ +/g, ' ');
}

/** RFC 3986: only unreserved characters stay. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(
    /[!'()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  );
}

/** @param scope `20250101/us-east-1/s3/aws4_request` */
function signingKey(secret: string, scope: string): Buffer {
  return scope
    .split('/')
    .reduce<Buffer>(
      (key, step) => createHmac('sha256', key).update(step).digest(),
      Buffer.from(`AWS4${secret}`),
    );
}

export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function sameText(a: string, b: string): boolean {
  const [left, right] = [Buffer.from(a), Buffer.from(b)];
  return left.length === right.length && timingSafeEqual(left, right);
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
