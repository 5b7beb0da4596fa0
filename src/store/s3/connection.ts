/**
 * One bucket, as the SDK reaches it. Everything that is true of every request lives here: how a client is set up, which
 * region it speaks to, where its credentials come from, when a request is tried again.
 */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import type { Readable } from 'node:stream';
import { CacheError } from '../../errors.ts';
import type { Emit } from '../../events.ts';
import { linkAbort, raceAbort, withinTime, type LinkedAbort } from '../abort.ts';
import { describeFailure, isRedirect, noCredentials } from './errors.ts';
import { type ForeignFile, requireOrdinary } from './foreign-files.ts';
import { notS3, type FailureContext } from './failure.ts';
import { inspect, Retry } from './faults.ts';
import { readProfile } from './profile.ts';
import { createTransport, type Transport } from './transport.ts';

export interface ConnectionOptions {
  bucket: string;
  /** @default the profile's, else us-east-1 */
  region?: string | undefined;
  /** @default the profile's `endpoint_url`, else AWS */
  endpoint?: string | undefined;
  /** @default true with a custom endpoint */
  forcePathStyle?: boolean | undefined;
  accelerate: boolean;
  /** @default the SDK's whole chain */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined;
  /** @default AWS_PROFILE, else `default` */
  profile?: string | undefined;
  /** Half a set of keys in the environment, for errors to name. @default none */
  halfSet?: FailureContext['halfSet'];
  proxy?: { https: string | undefined; no: string | undefined } | undefined;
  /** Path of a PEM file with more certificate authorities (`AWS_CA_BUNDLE`). */
  caBundle?: string | undefined;
  /** Files that the SDK or Node reads by itself. @default none are looked at */
  foreignFiles?: readonly ForeignFile[] | undefined;
  stallTimeoutMs: number;
  /** First wait before a retry; doubles each time. @default 100 */
  retryDelayMs?: number | undefined;
  emit: Emit;
}

/** What a request is for: names it in errors. */
export interface Purpose {
  /** IAM action, e.g. `s3:GetObject`. */
  action: string;
  key: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
/** Single sign-on and credential processes may be slow; nothing configured shows within 3 s on its own. */
const CREDENTIALS_TIMEOUT_MS = 15_000;
const MAX_REDIRECTS = 2;

/** @throws CacheError CONFIG_INVALID */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  // Read by the SDK, once a process, when the first client is made; there is no other way to silence its warning.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  const connectTimeoutMs = Math.min(CONNECT_TIMEOUT_MS, options.stallTimeoutMs);
  requireOrdinary(options.foreignFiles ?? []);
  const transport = createTransport({ proxy: options.proxy, caBundle: options.caBundle, connectTimeoutMs });
  const fromProfile = await readProfile(options.profile);
  if (fromProfile.tokenFile !== undefined)
    requireOrdinary([{ variable: 'web_identity_token_file', path: fromProfile.tokenFile }]);
  const region = options.region ?? fromProfile.region ?? 'us-east-1';
  const endpoint = options.endpoint ?? fromProfile.endpoint;
  return new Connection({ ...options, region, endpoint }, transport);
}

type Settled = ConnectionOptions & { region: string; endpoint: string | undefined };

export class Connection {
  readonly bucket: string;
  readonly emit: Emit;
  readonly stallTimeoutMs: number;
  /** Whether this is a service other than AWS: those need gentler defaults, and more distrust. */
  readonly custom: boolean;
  readonly #options: Settled;
  readonly #transport: Transport;
  #region: string;
  #client: S3Client;
  #authenticated = false;
  /** Those under way. */
  readonly #transfers = new Set<LinkedAbort>();

  constructor(options: Settled, transport: Transport) {
    this.bucket = options.bucket;
    this.emit = options.emit;
    this.stallTimeoutMs = options.stallTimeoutMs;
    this.custom = options.endpoint !== undefined;
    this.#options = options;
    this.#transport = transport;
    this.#region = options.region;
    this.#client = this.#createClient();
  }

  /** The client of now; a redirect to another region replaces it. */
  get client(): S3Client {
    return this.#client;
  }

  retry(signal: AbortSignal): Retry {
    return new Retry(signal, this.#options.retryDelayMs ?? 100);
  }

  /**
   * Sends one request, again after faults that pass. `request` is called once an attempt.
   * @throws what the SDK threw, for the caller to branch on, or the signal's reason.
   */
  async send<T>(request: (client: S3Client) => Promise<T>, signal: AbortSignal): Promise<T> {
    const retry = this.retry(signal);
    for (;;) {
      try {
        return await this.attempt(request, signal);
      } catch (error) {
        await retry.wait(error);
      }
    }
  }

  /** One attempt, which ends where the bucket is and with credentials as fresh as there are. */
  async attempt<T>(request: (client: S3Client) => Promise<T>, signal: AbortSignal): Promise<T> {
    let refreshed = false;
    for (let redirects = 0; ; redirects += 1) {
      signal.throwIfAborted();
      const client = this.#client;
      try {
        if (!this.#authenticated) await this.#authenticate(signal);
        return await raceAbort(request(client), signal);
      } catch (error) {
        signal.throwIfAborted();
        if (redirects < MAX_REDIRECTS && this.#follow(error, client)) continue;
        if (refreshed || !EXPIRED.has(inspect(error).name)) throw error;
        // A role's credentials may have been renewed in the file or by the agent that they come from.
        refreshed = true;
        await this.#authenticate(signal, { forceRefresh: true });
      }
    }
  }

  /** A `CacheError` for whatever a request threw. */
  explain(error: unknown, purpose: Purpose): CacheError {
    return describeFailure(error, this.context(purpose));
  }

  context({ action, key }: Purpose): FailureContext {
    const { bucket, endpoint, profile, halfSet, stallTimeoutMs } = this.#options;
    return { bucket, endpoint, profile, halfSet, stallTimeoutMs, region: this.#region, action, key };
  }

  /** A signal for one transfer: it follows the caller's, and ends with the connection. */
  link(outer: AbortSignal): LinkedAbort {
    const link = linkAbort(outer);
    this.#transfers.add(link);
    return {
      ...link,
      unlink: () => {
        this.#transfers.delete(link);
        link.unlink();
      },
    };
  }

  close(): void {
    // Else a transfer that nobody waits for would take the end of its sockets for a fault, and go on with new ones.
    for (const transfer of this.#transfers) transfer.abort(new Error('the store was closed'));
    this.#client.destroy();
    this.#transport.httpAgent.destroy();
    this.#transport.httpsAgent.destroy();
  }

  #createClient(credentials: S3ClientConfig['credentials'] = this.#options.credentials): S3Client {
    const { endpoint, forcePathStyle, accelerate, profile, stallTimeoutMs } = this.#options;
    const integrity = this.custom ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
    const config: S3ClientConfig = {
      region: this.#region,
      forcePathStyle: forcePathStyle ?? this.custom,
      useAccelerateEndpoint: accelerate,
      maxAttempts: 1,
      requestChecksumCalculation: integrity,
      // A whole-object checksum on a part of the object can never match, and all our reads are parts.
      responseChecksumValidation: 'WHEN_REQUIRED',
      // With it the SDK opens a new connection for each part.
      expectContinueHeader: false,
      followRegionRedirects: false,
      logger: SILENT,
      requestHandler: {
        ...this.#transport,
        connectionTimeout: Math.min(CONNECT_TIMEOUT_MS, stallTimeoutMs),
        socketTimeout: stallTimeoutMs,
      },
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(profile === undefined ? {} : { profile }),
    };
    const client = new S3Client(config);
    client.middlewareStack.add(
      (next) => async (args) => {
        const result = await next(args);
        if (isWebPage(result.response))
          throw notS3(this.context({ action: '', key: '' }), 'it answers with a web page');
        return result;
      },
      { step: 'deserialize', name: 'refuseWebPages' },
    );
    return client;
  }

  /** Asks for the credentials apart from any request, so that a failure here is known to be about them. */
  async #authenticate(signal: AbortSignal, { forceRefresh = false } = {}): Promise<void> {
    const found = this.#client.config.credentials({ forceRefresh });
    try {
      if ((await withinTime(raceAbort(found, signal), CREDENTIALS_TIMEOUT_MS)) !== undefined) {
        this.#authenticated = true;
        return;
      }
    } catch (error) {
      signal.throwIfAborted();
      throw noCredentials(error, this.context({ action: '', key: '' }));
    }
    const late = new Error(`nothing within ${CREDENTIALS_TIMEOUT_MS / 1000} s`);
    throw noCredentials(late, this.context({ action: '', key: '' }));
  }

  /** Whether the bucket turned out to be in another region, to which the client now speaks. */
  #follow(error: unknown, used: S3Client): boolean {
    const seen = inspect(error);
    if (!isRedirect(seen)) return false;
    if (used !== this.#client) return true;
    const region = seen.headers['x-amz-bucket-region'] ?? seen.region;
    if (region === undefined || region === this.#region) return false;
    this.emit({
      type: 'warning',
      message: `Bucket ${this.bucket} is in ${region}, not in ${this.#region}: every run asks twice`,
      hint: `Set AWS_REGION=${region}`,
    });
    this.#region = region;
    this.#client = this.#createClient(used.config.credentials);
    return true;
  }
}

/** A success, to look at: web servers and login pages say 200 to everything, and the SDK reads nothing out of it. */
function isWebPage(response: unknown): boolean {
  const {
    statusCode,
    headers = {},
    body,
  } = response as {
    statusCode?: number;
    headers?: Record<string, string>;
    body?: Readable;
  };
  // A gateway's 502 is a page as well, but a failure that passes.
  if (statusCode === undefined || statusCode >= 300) return false;
  if (!/^text\/html/i.test(headers['content-type'] ?? '')) return false;
  // moto calls its empty answers text/html too; like every S3 server, it signs them with a request id.
  if (Object.keys(headers).some((name) => name.startsWith('x-amz'))) return false;
  body?.on('error', () => {}).destroy();
  return true;
}

const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired']);

/** The SDK writes its warnings to the console unless it is given somewhere else. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
