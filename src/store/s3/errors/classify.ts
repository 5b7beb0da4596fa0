/**
 * What went wrong with one request, reduced to the few kinds that decide whether to try again. The SDK's own retries are
 * off: they end when headers arrive, cannot be interrupted, and know nothing of a body that breaks off.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { systemCode } from '../../../errors.ts';

export type Fault =
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
  /** Our clock is wrong; the SDK has learnt the difference from the answer and signs the next request right. */
  | 'skewed'
  /** An answer that contradicts the request (wrong range, wrong length), or bytes that TLS cannot read. */
  | 'nonsense'
  /** Trying again would change nothing. */
  | 'final';

/** Attempts in a row, the first included. A stall costs the whole stall limit each time, so it gets the fewest. */
const ATTEMPTS: Record<Fault, number> = {
  throttled: 8,
  server: 5,
  reset: 6,
  refused: 4,
  dns: 3,
  stalled: 2,
  skewed: 2,
  nonsense: 3,
  final: 1,
};

const MAX_DELAY_MS = 4000;

/** An answer that cannot be right, or stopped short. Never reaches the user as it is: see `describeFailure`. */
export class TransferError extends Error {
  readonly fault: Fault;
  constructor(fault: Fault, message: string) {
    super(message);
    this.fault = fault;
  }
}

export function classify(error: unknown): Fault {
  if (error instanceof TransferError) return error.fault;
  const { name, status, hasCode, skewCorrected } = inspect(error);
  const code = systemCode(error);
  if (skewCorrected) return 'skewed';
  if (code === 'ECONNREFUSED' || code === 'EHOSTUNREACH' || code === 'ENETUNREACH') return 'refused';
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return 'dns';
  if (code === 'ECONNRESET' || code === 'EPIPE' || code === 'ECONNABORTED') return 'reset';
  if (code === 'ERR_STREAM_PREMATURE_CLOSE') return 'reset';
  // A flipped bit on the way ends the connection so. A certificate that is not trusted will not be in a moment either: final.
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

/** The parts of an SDK error that decisions are made on. */
export interface Inspected {
  /** The S3 error code (`NoSuchKey`), or the class of the error; never empty. */
  name: string;
  /** HTTP status, when there was an answer. */
  status: number | undefined;
  headers: Readonly<Record<string, string>>;
  /** Whether the answer carried an S3 error document with a code. */
  hasCode: boolean;
  message: string;
  /** `<Region>` of the error document. */
  region: string | undefined;
  skewCorrected: boolean;
}

interface SdkShape {
  name?: unknown;
  message?: unknown;
  Code?: unknown;
  Region?: unknown;
  $metadata?: { httpStatusCode?: number; clockSkewCorrected?: boolean };
  $response?: { statusCode?: number; headers?: Record<string, string> };
}

export function inspect(error: unknown): Inspected {
  const shape: SdkShape = typeof error === 'object' && error !== null ? error : {};
  return {
    name: typeof shape.name === 'string' && shape.name !== '' ? shape.name : 'Error',
    status: shape.$metadata?.httpStatusCode ?? shape.$response?.statusCode,
    headers: shape.$response?.headers ?? {},
    hasCode: typeof shape.Code === 'string',
    message: typeof shape.message === 'string' ? shape.message : String(error),
    region: typeof shape.Region === 'string' ? shape.Region : undefined,
    skewCorrected: shape.$metadata?.clockSkewCorrected === true,
  };
}

/** Counts the faults of one transfer in a row, and waits between attempts. */
export class Retry {
  #failures = 0;
  readonly #signal: AbortSignal;
  readonly #baseDelayMs: number;
  readonly #onStall: () => void;

  /** @param onStall called before a request that stalled is sent again */
  constructor(signal: AbortSignal, baseDelayMs: number, onStall: () => void) {
    this.#signal = signal;
    this.#baseDelayMs = baseDelayMs;
    this.#onStall = onStall;
  }

  /** Something worth having arrived: what comes next is a new fault, not the same one again. */
  progressed(): void {
    this.#failures = 0;
  }

  /**
   * Returns when it is time to try again.
   * @throws `error` when it is not worth it, or the signal's reason.
   */
  async wait(error: unknown): Promise<void> {
    this.#signal.throwIfAborted();
    const fault = classify(error);
    this.#failures += 1;
    if (this.#failures >= ATTEMPTS[fault]) throw error;
    if (fault === 'stalled') this.#onStall();
    if (fault === 'skewed' || fault === 'stalled') return;
    const asked = Number(inspect(error).headers['retry-after'] ?? 0) * 1000;
    await this.pause(fault, this.#failures, Number.isFinite(asked) ? asked : 0);
  }

  /** Waits as before the `attempt`-th repetition, and at least as long as the service asked for. */
  async pause(fault: Fault, attempt: number, askedMs = 0): Promise<void> {
    const base = this.#baseDelayMs * (fault === 'throttled' ? 3 : 1);
    // Half of it random: savers that were refused together should not come back together.
    const own = base * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
    await pause(Math.min(MAX_DELAY_MS, Math.max(own, askedMs)), this.#signal);
  }
}

async function pause(ms: number, signal: AbortSignal): Promise<void> {
  try {
    await sleep(ms, undefined, { signal });
  } catch {
    signal.throwIfAborted();
  }
}
