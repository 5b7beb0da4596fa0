/**
 * One bucket, as the SDK reaches it. Everything that is true of every request lives here: how a client is set
 * up, which region it speaks to, where its credentials come from, when a request is tried again.
 */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { defaultProvider } from '@aws-sdk/credential-provider-node';
import type { CacheError } from '../../../errors.ts';
import type { Emit } from '../../../events.ts';
import { homeOf } from '../../../files/home.ts';
import { linkAbort, raceAbort, withinTime, type LinkedAbort } from '../../../async/abort.ts';
import { guardAnswers } from './guard-responses.ts';
import { containerFailure } from './container-credentials.ts';
import { CredentialProcesses } from './credential-process.ts';
import { describeError, isRedirect, noCredentials } from '../errors/describe-error.ts';
import { notS3, where, type ErrorContext } from '../errors/context.ts';
import type { Patience } from './patience.ts';
import { NO_CREDENTIALS, type Presigned, presignedSigner } from './presigned.ts';
import { completeSettings, isRegion, type ConnectionOptions, type Settings } from './settings.ts';
import { createTransport, type Transport } from './transport.ts';
import { inspect } from '../errors/inspect.ts';
import { Retry } from '../errors/retry.ts';

/** What a request is for: names it in errors. */
export interface Purpose {
  /** IAM action, e.g. `s3:GetObject`. */
  action: string;
  key: string;
}

const CONNECT_TIMEOUT_MS = 10_000;
/**
 * The second chance of a service that has never answered: with it, a build waits `CACHE_STALL_TIMEOUT` and 10
 * s at most.
 */
const SECOND_CHANCE_MS = 6000;
/** Single sign-on and credential processes may be slow; nothing configured shows within 3 s on its own. */
const CREDENTIALS_TIMEOUT_MS = 15_000;
const MAX_REDIRECTS = 2;

/** @throws CacheError CONFIG_INVALID */
export async function connect(options: ConnectionOptions): Promise<Connection> {
  // Read by the SDK, once a process, when the first client is made; there is no other way to silence its
  // warning.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  // The SDK asks Node for it, which throws where a user has none.
  process.env['HOME'] ||= homeOf({});
  const settings = await completeSettings(options);
  const { stallTimeoutMs, proxy, names, caBundle } = settings;
  const connectTimeoutMs = Math.min(CONNECT_TIMEOUT_MS, stallTimeoutMs);
  const patience = { answerMs: stallTimeoutMs };
  const transport = createTransport({
    proxy,
    proxyName: names.proxy,
    caBundle,
    connectTimeoutMs,
    patience,
  });
  return new Connection(settings, transport, patience);
}

export class Connection {
  readonly bucket: string;
  readonly emit: Emit;
  readonly stallTimeoutMs: number;
  /** Whether this is a service other than AWS: those need gentler defaults, and more distrust. */
  readonly custom: boolean;
  readonly #options: Settings;
  readonly #transport: Transport;
  readonly #patience: Patience;
  readonly #processes: CredentialProcesses;
  #region: string;
  #client: S3Client;
  #authenticated = false;
  /** Whether the service has ever said anything. */
  #answered = false;
  /** How far the service's clock is ahead of this machine's, as its last answer told it, milliseconds. */
  #clockAheadMs = 0;
  /** Those under way. */
  readonly #transfers = new Set<LinkedAbort>();

  constructor(options: Settings, transport: Transport, patience: Patience) {
    this.bucket = options.bucket;
    this.emit = options.emit;
    this.stallTimeoutMs = options.stallTimeoutMs;
    this.custom = options.endpoint !== undefined;
    this.#options = options;
    this.#transport = transport;
    this.#patience = patience;
    this.#processes = new CredentialProcesses(options.emit);
    this.#region = options.region;
    this.#client = this.#createClient();
  }

  /** The client of now; a redirect to another region replaces it. */
  get client(): S3Client {
    return this.#client;
  }

  /** The time by the service's clock, milliseconds since 1970; by this machine's before the first answer. */
  now(): number {
    return Date.now() + this.#clockAheadMs;
  }

  retry(signal: AbortSignal): Retry {
    return new Retry(signal, this.#options.retryDelayMs ?? 100, () => this.#stalled());
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
    return describeError(error, this.context(purpose));
  }

  context({ action, key }: Purpose): ErrorContext {
    const { bucket, endpoint, names, profile, halfSet, stallTimeoutMs } = this.#options;
    return { bucket, endpoint, names, profile, halfSet, stallTimeoutMs, region: this.#region, action, key };
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
    // Else a transfer that nobody waits for would take the end of its sockets for a fault, and go on with new
    // ones.
    for (const transfer of this.#transfers) transfer.abort(new Error('the store was closed'));
    this.#processes.stop('was not waited for');
    this.#client.destroy();
    this.#transport.httpAgent.destroy();
    this.#transport.httpsAgent.destroy();
  }

  #createClient(credentials: S3ClientConfig['credentials'] = this.#options.credentials): S3Client {
    const { endpoint, forcePathStyle, accelerate, profile, presigned, stallTimeoutMs } = this.#options;
    const integrity = this.custom ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED';
    const requestHandler = {
      ...this.#transport,
      connectionTimeout: Math.min(CONNECT_TIMEOUT_MS, stallTimeoutMs),
      socketTimeout: stallTimeoutMs,
    };
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
      requestHandler,
      // Single sign-on would connect by itself, past the proxy and without AWS_CA_BUNDLE.
      credentialDefaultProvider: (init: object) =>
        defaultProvider({ ...init, clientConfig: { requestHandler } }),
      ...(endpoint === undefined ? {} : { endpoint }),
      ...(credentials === undefined ? {} : { credentials }),
      ...(presigned === undefined ? {} : this.#signedInAdvance(presigned)),
      ...(profile === undefined ? {} : { profile }),
    };
    const client = new S3Client(config);
    guardAnswers(client, {
      stallTimeoutMs,
      onAnswer: (date) => this.#heard(date),
      refuse: (evidence) => notS3(this.context({ action: '', key: '' }), evidence),
    });
    return client;
  }

  #signedInAdvance(urls: Presigned['urls']): Pick<S3ClientConfig, 'credentials' | 'signer'> {
    return {
      credentials: NO_CREDENTIALS,
      signer: async () => presignedSigner({ bucket: this.bucket, urls }),
    };
  }

  /** Asks for the credentials apart from any request, so that a failure here is known to be about them. */
  async #authenticate(signal: AbortSignal, { forceRefresh = false } = {}): Promise<void> {
    this.#processes.forget();
    const found = this.#client.config.credentials({ forceRefresh });
    try {
      if ((await withinTime(raceAbort(found, signal), CREDENTIALS_TIMEOUT_MS)) !== undefined) {
        this.#authenticated = true;
        return;
      }
    } catch (error) {
      signal.throwIfAborted();
      const failure = this.#processes.failure ?? (await containerFailure());
      throw noCredentials(error, this.context({ action: '', key: '' }), failure);
    }
    const late = `gave nothing within ${CREDENTIALS_TIMEOUT_MS / 1000} s`;
    this.#processes.stop(late);
    throw noCredentials(new Error(late), this.context({ action: '', key: '' }), this.#processes.failure);
  }

  /** A request is about to be sent again after it stalled. */
  #stalled(): void {
    const place = where(this.context({ action: '', key: '' }));
    const waited = this.#patience.answerMs / 1000;
    if (this.#answered) {
      this.emit({ type: 'step', text: `${place} made no progress for ${waited} s: trying again` });
      return;
    }
    this.#patience.answerMs = Math.min(this.stallTimeoutMs, SECOND_CHANCE_MS);
    this.emit({
      type: 'warning',
      message: `${place} has not answered within ${waited} s: trying again, for ${this.#patience.answerMs / 1000} s at most`,
      hint: 'CACHE_STALL_TIMEOUT (seconds) says how long to wait the first time.',
    });
  }

  #heard(date: number | undefined): void {
    this.#answered = true;
    this.#patience.answerMs = this.stallTimeoutMs;
    if (date !== undefined) this.#clockAheadMs = date - Date.now();
  }

  /** Whether the bucket turned out to be in another region, to which the client now speaks. */
  #follow(error: unknown, used: S3Client): boolean {
    const seen = inspect(error);
    if (!isRedirect(seen)) return false;
    if (used !== this.#client) return true;
    const region = seen.headers['x-amz-bucket-region'] ?? seen.region;
    if (region === undefined || !isRegion(region) || region === this.#region) return false;
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

const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'TokenRefreshRequired']);

/** The SDK writes its warnings to the console unless it is given somewhere else. */
const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };
