/**
 * An S3 server in this process, for the tests and for `npm run demo`: real HTTP (or HTTPS), every signature, checksum and
 * condition checked as Amazon S3 checks them, everything kept in memory, and faults on request.
 * It is compared with Ceph RGW in `s3-conformance.test.ts`.
 */
import { createServer as createHttpServer } from 'node:http';
import type { RequestListener, Server } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { createCertificate } from './certificate.ts';
import type { RefusedCondition } from './s3-server/exchange.ts';
import { Faults } from './s3-server/faults.ts';
import type { LoggedRequest } from './s3-server/faults.ts';
import { placeObject } from './s3-server/objects.ts';
import { serve } from './s3-server/serve.ts';
import type { ServerState } from './s3-server/serve.ts';
import type { S3User } from './s3-server/signature.ts';
import { bucketNamed, createBucket } from './s3-server/storage.ts';
import type { Storage, StoredBucket, StoredObject } from './s3-server/storage.ts';

export type { Fault, FaultEffect, LoggedRequest } from './s3-server/faults.ts';
export type { S3User } from './s3-server/signature.ts';
export type { StoredBucket, StoredObject } from './s3-server/storage.ts';

export interface S3ServerOptions {
  /** Buckets that exist from the start, by name or with a region of their own. @default ['test-bucket'] */
  buckets?: readonly (string | { name: string; region: string })[];
  /** The first is `server.credentials`. @default one user who may do everything */
  users?: readonly S3User[];
  /** @default 'us-east-1' */
  region?: string;
  /** HTTPS with a certificate made for the occasion (`server.certificate`), for these host names besides localhost and 127.0.0.1. */
  tls?: boolean | { hosts: readonly string[] };
  /** Smallest part but the last, in bytes. @default 5 MiB, as in S3 */
  minPartSize?: number;
  /** How far this server's clock is ahead of the real one, in milliseconds. @default 0 */
  clockOffsetMs?: number;
  /**
   * `If-Match` of a write or a deletion is refused for an object of several parts, even with its own ETag, and with this code:
   * as by OpenStack Swift's s3api. @default as in S3
   */
  refusesPartsEtag?: RefusedCondition;
}

const DEFAULT_USER: S3User = {
  accessKeyId: 'AKIATESTSANDBOXCACHE',
  secretAccessKey: 'test/secret+of/the/sandbox/cache',
};

export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const hosts = typeof options.tls === 'object' ? options.tls.hosts : [];
  const identity = options.tls ? createCertificate(hosts) : undefined;
  const server = new S3Server(options, identity?.certificate);
  await server.listen((listener) =>
    identity === undefined
      ? createHttpServer(listener)
      : createHttpsServer({ key: identity.key, cert: identity.certificate }, listener),
  );
  return server;
}

export class S3Server {
  readonly region: string;
  readonly credentials: S3User;
  /** PEM, when started with `tls`: for `NODE_EXTRA_CA_CERTS` or `ca`. */
  readonly certificate: string | undefined;
  /** Every request so far, in the order of arrival. */
  readonly requests: LoggedRequest[] = [];
  readonly faults = new Faults();
  private readonly users: S3User[];
  private readonly storage: Storage = new Map();
  private readonly state: ServerState;
  private server: Server | undefined;

  constructor(options: S3ServerOptions, certificate: string | undefined) {
    this.certificate = certificate;
    this.region = options.region ?? 'us-east-1';
    this.users = [...(options.users ?? [DEFAULT_USER])];
    this.credentials = this.users[0] ?? DEFAULT_USER;
    const { region, users, storage, faults, requests } = this;
    const { minPartSize = 5 * 1024 * 1024, clockOffsetMs = 0, refusesPartsEtag } = options;
    this.state = { region, users, storage, faults, requests, minPartSize, clockOffsetMs, refusesPartsEtag };
    for (const bucket of options.buckets ?? ['test-bucket']) {
      if (typeof bucket === 'string') createBucket(this.storage, bucket, this.region);
      else createBucket(this.storage, bucket.name, bucket.region);
    }
  }

  async listen(create: (listener: RequestListener) => Server): Promise<void> {
    const server = create((request, response) => void serve(this.state, request, response));
    // Answered by hand, so that a request refused by its headers never sends its body.
    server.on('checkContinue', (request, response) => void serve(this.state, request, response));
    server.keepAliveTimeout = 60_000;
    server.requestTimeout = 0;
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, '127.0.0.1', resolve);
    });
    this.server = server;
  }

  get port(): number {
    const address = this.server?.address() as AddressInfo | null | undefined;
    if (!address) throw new Error('the server does not listen');
    return address.port;
  }

  /** `http://127.0.0.1:PORT` */
  get endpoint(): string {
    return `${this.certificate === undefined ? 'http' : 'https'}://127.0.0.1:${this.port}`;
  }

  /** What a child process needs to reach this server as its first user. */
  get environment(): Record<string, string> {
    const { accessKeyId, secretAccessKey, sessionToken } = this.credentials;
    return {
      AWS_ENDPOINT_URL_S3: this.endpoint,
      AWS_REGION: this.region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(sessionToken === undefined ? {} : { AWS_SESSION_TOKEN: sessionToken }),
    };
  }

  /** The bucket as it is stored: `objects`, `uploads`, `settings`. Throws when there is none of that name. */
  bucket(name = 'test-bucket'): StoredBucket {
    return bucketNamed(this.storage, name);
  }

  createBucket(name: string, region = this.region): StoredBucket {
    return createBucket(this.storage, name, region);
  }

  addUser(user: S3User): void {
    this.users.push(user);
  }

  get knownUsers(): readonly S3User[] {
    return this.users;
  }

  /** Its requests are refused from now on, as those of credentials that are over. */
  expire(accessKeyId: string): void {
    const user = this.users.find((known) => known.accessKeyId === accessKeyId);
    if (user !== undefined) user.expired = true;
  }

  /** The bytes under a key; undefined when there are none. */
  read(bucket: string, key: string): Buffer | undefined {
    const object = this.bucket(bucket).objects.get(key);
    return object && Buffer.concat(object.chunks);
  }

  /** Puts an object in place without a request; an existing one is replaced. */
  place(
    bucket: string,
    object: { key: string; body: Uint8Array; metadata?: Record<string, string>; modified?: Date },
  ): StoredObject {
    return placeObject(this.bucket(bucket), object);
  }

  /** How many requests of an operation came in, of this key when one is given. */
  count(operation: string, key?: string): number {
    return this.requests.filter(
      (request) => request.operation === operation && (key ?? request.key) === request.key,
    ).length;
  }

  /** Ends every connection, the stalled ones too. */
  async close(): Promise<void> {
    const { server } = this;
    if (server === undefined) return;
    this.server = undefined;
    await new Promise<void>((resolve) => {
      server.close(() => resolve());
      server.closeAllConnections();
    });
  }
}
