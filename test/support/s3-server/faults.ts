/**
 * Faults that a test asks for. Nothing here happens by chance or by the clock: a fault hits the requests its `match` picks,
 * `times` times, and only `trickle` and `delay` use a timer.
 */

/** One request as it came in; a test counts these and picks faults by them. */
export interface LoggedRequest {
  /** Counts from 0 for this server. */
  index: number;
  method: string;
  /** The name in S3's API: `GetObject`, `UploadPart`, `CompleteMultipartUpload` …; `Unknown` for anything else. */
  operation: string;
  bucket: string;
  /** Empty for an operation on a bucket. */
  key: string;
  query: URLSearchParams;
  headers: Readonly<Record<string, string>>;
  /** The Range header: `bytes=0-8388607` */
  range: string | undefined;
  /** Who signed it, once that is known. */
  accessKeyId: string | undefined;
  /** What was answered; undefined while it is being served or when the connection was cut before the headers. */
  status: number | undefined;
}

/**
 * Where `reset` and `stall` strike. Without any of these: before the request is looked at.
 * - `requestBytes`: after that many bytes of the request's body were read
 * - `responseBytes`: after the headers and that many bytes of the answer's body were sent
 * - `answered`: the operation was carried out, its answer is lost
 */
export interface FaultPosition {
  requestBytes?: number;
  responseBytes?: number;
  answered?: true;
}

export type FaultEffect =
  /** The connection is cut. */
  | ({ type: 'reset' } & FaultPosition)
  /** Nothing comes any more, the connection stays open until the client or `close()` ends it. */
  | ({ type: 'stall' } & FaultPosition)
  /** The body comes `bytes` at a time, every `everyMs`. */
  | { type: 'trickle'; bytes: number; everyMs: number }
  /** The whole answer comes `ms` late. */
  | { type: 'delay'; ms: number }
  /** S3's XML error, for example 503 SlowDown; nothing is carried out. */
  | { type: 'error'; status: number; code: string; message?: string; headers?: Record<string, string> }
  /** What CompleteMultipartUpload does when it fails late: status 200, an error in the body. */
  | { type: 'error-in-200'; code: string; message?: string }
  /**
   * In place of an answer of HTTP's making: `first` goes over the connection, then `again`, without end, every `everyMs` or as fast
   * as it is taken. Without `again` the connection ends.
   */
  | { type: 'raw'; first: string | Buffer; again?: string; everyMs?: number }
  /** Status 200, and this document of XML. */
  | { type: 'document'; make: () => string }
  /** A proxy or a login page answers instead. */
  | { type: 'html'; status: number; html?: string }
  /** Content-Length is right, the connection ends cleanly after `bytes`. */
  | { type: 'short-body'; bytes: number }
  /** Content-Length (and the body with it) says `bytes` less than was asked for. */
  | { type: 'cut-body'; bytes: number }
  /** This Content-Range instead of the right one; null leaves the header out. */
  | { type: 'content-range'; value: string | null }
  /** 200 and the whole object, as servers do that know no ranges. */
  | { type: 'ignore-range' }
  /** `If-Match` and `If-None-Match` are not looked at, as on older S3-compatible servers. */
  | { type: 'ignore-conditions' }
  /** Headers of the answer replaced (null removes one), for example a wrong ETag. */
  | { type: 'headers'; headers: Record<string, string | null> }
  /** One byte of the body is flipped; `at` counts within the object. */
  | { type: 'flip'; at: number }
  /** `run` is awaited first, then the request is served as usual: replace the object, count, wait for another request. */
  | { type: 'before'; run: (request: LoggedRequest) => void | Promise<void> };

export interface Fault {
  match: (request: LoggedRequest) => boolean;
  /** How many requests it hits before it is used up. @default 1 */
  times?: number;
  effect: FaultEffect;
}

/** The faults of one server. Each request meets at most one: the first added that matches and is not used up. */
export class Faults {
  private readonly pending: { fault: Fault; left: number }[] = [];

  add(fault: Fault): void {
    this.pending.push({ fault, left: fault.times ?? 1 });
  }

  clear(): void {
    this.pending.length = 0;
  }

  /** How many hits are still to come: 0 proves that a test met every fault it asked for. */
  get left(): number {
    return this.pending.reduce((sum, { left }) => sum + left, 0);
  }

  take(request: LoggedRequest): FaultEffect | undefined {
    const found = this.pending.find(({ fault, left }) => left > 0 && fault.match(request));
    if (found === undefined) return undefined;
    found.left--;
    return found.fault.effect;
  }
}
