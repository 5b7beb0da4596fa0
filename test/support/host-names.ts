/**
 * Requests by host name, as on AWS (`https://BUCKET.s3.REGION.amazonaws.com`, AWS's own defaults, no endpoint configured) and as
 * on servers that want virtual hosts (`http://BUCKET.localhost`). Only the connection is led elsewhere: to the in-process server.
 */
import { Agent } from 'node:https';
import { connect } from 'node:tls';
import type { ConnectionOptions } from 'node:tls';
import { startS3Server } from './s3-server.ts';
import type { S3Server, S3ServerOptions } from './s3-server.ts';

const REGIONS = ['us-east-1', 'eu-west-1', 'eu-central-1'];
const NAMES_LED_HERE = { NODE_OPTIONS: `--import=${new URL('hosts.mjs', import.meta.url).href}` };

/** A server that answers as Amazon S3 in `us-east-1`, `eu-west-1` and `eu-central-1`, acceleration included. */
export function startAws(options: Omit<S3ServerOptions, 'tls'> = {}): Promise<S3Server> {
  const hosts = REGIONS.flatMap((region) => [`s3.${region}.amazonaws.com`, `*.s3.${region}.amazonaws.com`]);
  return startS3Server({
    ...options,
    tls: { hosts: [...hosts, 's3.amazonaws.com', '*.s3-accelerate.amazonaws.com'] },
  });
}

/** The environment under which a child process takes a server of `startAws` for AWS; no endpoint variable is in it. */
export function awsEnvironment(server: S3Server): Record<string, string> {
  const { AWS_ENDPOINT_URL_S3: _, ...environment } = server.environment;
  return {
    ...environment,
    ...NAMES_LED_HERE,
    TEST_AWS_PORT: String(server.port),
    TEST_AWS_CA: server.certificate ?? '',
  };
}

/** The environment under which a child process addresses buckets of any server as `BUCKET.localhost`, given virtual-host style. */
export function virtualHostEnvironment(server: S3Server): Record<string, string> {
  const endpoint = server.endpoint.replace('127.0.0.1', 'localhost');
  return { ...server.environment, ...NAMES_LED_HERE, AWS_ENDPOINT_URL_S3: endpoint };
}

/** The environment under which `localhost` stops resolving in a child process as soon as there is a file of that name. */
export function losesLocalhost(file: string): Record<string, string> {
  return { ...NAMES_LED_HERE, TEST_LOCALHOST_GONE: file };
}

/** `startAws` for a client in this process: give it as `requestHandler: { httpsAgent }`. */
export class AwsAgent extends Agent {
  private readonly server: S3Server;

  constructor(server: S3Server) {
    super({ keepAlive: true });
    this.server = server;
  }

  override createConnection(options: ConnectionOptions & { host?: string }): ReturnType<typeof connect> {
    const { port, certificate: ca } = this.server;
    return connect({
      ...options,
      host: '127.0.0.1',
      port,
      servername: options.host ?? '',
      ...(ca && { ca }),
    });
  }
}
