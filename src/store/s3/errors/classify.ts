/**
 * What went wrong with one request, reduced to the few kinds that decide whether to try again. The SDK's own
 * retries are off: they end when headers arrive, cannot be interrupted, and know nothing of a body that
 * breaks off.
 */
import { systemCode } from '../../../errors.ts';
import { inspect } from './inspect.ts';

export type ErrorKind =
  /** 503 SlowDown, 429: the service asks for patience. */
  | 'throttled'
  /** 500, 502, 504, RequestTimeout. */
  | 'server'
  /** The connection broke, or a body ended before its length. */
  | 'reset'
  | 'refused'
  | 'dns'
  /** No byte within the stall limit, or no connection within its own. */
  | 'stalled'
  /**
   * Our clock is wrong; the SDK has learnt the difference from the answer and signs the next request right.
   */
  | 'skewed'
  /** An answer that contradicts the request (wrong range, wrong length), or bytes that TLS cannot read. */
  | 'nonsense'
  /** Trying again would change nothing. */
  | 'final';

/** An answer that cannot be right, or stopped short. Never reaches the user as it is: see `describeError`. */
export class TransferError extends Error {
  readonly kind: ErrorKind;
  constructor(kind: ErrorKind, message: string) {
    super(message);
    this.kind = kind;
  }
}

export function classify(error: unknown): ErrorKind {
  if (error instanceof TransferError) return error.kind;
  const { name, status, hasCode, skewCorrected } = inspect(error);
  const code = systemCode(error);
  if (skewCorrected) return 'skewed';
  if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'dns';
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED') return 'reset';
  if (code === 'ERR_STREAM_PREMATURE_CLOSE') return 'reset';
  // A flipped bit on the way ends the connection so. A certificate that is not trusted will not be in a
  // moment either: final.
  if (isGarbledTls(code)) return 'nonsense';
  if (code === 'ETIMEDOUT' || name === 'TimeoutError') return 'stalled';
  // By name before status: an error that S3 sends inside a 200 comes out of the SDK as a 503, whatever it is.
  if (THROTTLING.test(name)) return 'throttled';
  if (name === 'InternalError' || name === 'RequestTimeout') return 'server';
  if (hasCode && CONDITIONS.has(name)) return 'final';
  if (status === 429 || status === 503) return 'throttled';
  if (status === 500 || status === 502 || status === 504) return 'server';
  return 'final';
}

/** In the handshake, as from a server without TLS, or later. */
export function isGarbledTls(code: string | undefined): boolean {
  return code === 'EPROTO' || code?.startsWith('ERR_SSL_') === true;
}

const CONDITIONS = new Set([
  'PreconditionFailed',
  'ConditionalRequestConflict',
  'NoSuchKey',
  'NoSuchUpload',
  'AccessDenied',
]);

/** Every service has names of its own, and Wasabi's `RequestRateLimitExceeded` comes with status 400. */
const THROTTLING =
  /^SlowDown|Throttl|^TooManyRequests|Rate(Limit)?Exceeded$|^(Request|Bandwidth|Qps)LimitExceeded$|^(ServiceUnavailable|ServerBusy)$/;
