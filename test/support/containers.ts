/** MinIO and LocalStack in containers, for machines where a Docker engine answers. */
import { request } from 'node:http';
import type { RequestOptions } from 'node:http';

const MINIO_IMAGE = 'minio/minio:RELEASE.2025-04-22T22-12-26Z';
const LOCALSTACK_IMAGE = 'localstack/localstack:4.4.0';
const PING_MS = 1500;

export interface ContainerServer {
  endpoint: string;
  credentials: { accessKeyId: string; secretAccessKey: string };
  stop(): Promise<void>;
}

/** Why containers cannot run here; undefined when they can. Answers within two seconds and prints nothing. */
export async function dockerMissing(env: NodeJS.ProcessEnv): Promise<string | undefined> {
  if (env['TEST_S3_CONTAINERS'] === 'false') return 'TEST_S3_CONTAINERS=false';
  const host = env['DOCKER_HOST'] || 'unix:///var/run/docker.sock';
  const url = URL.canParse(host) ? new URL(host) : undefined;
  const target: RequestOptions | undefined =
    url?.protocol === 'unix:'
      ? { socketPath: url.pathname }
      : url?.protocol === 'tcp:' || url?.protocol === 'http:'
        ? { host: url.hostname, port: url.port }
        : undefined;
  if (target === undefined) return `cannot ask a Docker engine at ${host}`;
  return (await pings(target)) ? undefined : `no Docker engine answers at ${host}`;
}

function pings(target: RequestOptions): Promise<boolean> {
  return new Promise((resolve) => {
    const call = request({ ...target, path: '/_ping', timeout: PING_MS }, (response) => {
      response.resume();
      resolve(response.statusCode === 200);
    });
    call.once('timeout', () => call.destroy());
    call.once('error', () => resolve(false));
    call.end();
  });
}

export async function startMinio(): Promise<ContainerServer> {
  const credentials = { accessKeyId: 'minio-test-user', secretAccessKey: 'minio-test-secret' };
  return startContainer({
    image: MINIO_IMAGE,
    command: ['server', '/data'],
    environment: {
      MINIO_ROOT_USER: credentials.accessKeyId,
      MINIO_ROOT_PASSWORD: credentials.secretAccessKey,
    },
    port: 9000,
    health: '/minio/health/ready',
    credentials,
  });
}

export async function startLocalStack(): Promise<ContainerServer> {
  return startContainer({
    image: LOCALSTACK_IMAGE,
    command: [],
    environment: { SERVICES: 's3', EAGER_SERVICE_LOADING: '1' },
    port: 4566,
    health: '/_localstack/health',
    credentials: { accessKeyId: 'test', secretAccessKey: 'test' },
  });
}

interface ContainerOptions {
  image: string;
  command: string[];
  environment: Record<string, string>;
  port: number;
  /** Path that answers 200 once the server is ready. */
  health: string;
  credentials: ContainerServer['credentials'];
}

async function startContainer(options: ContainerOptions): Promise<ContainerServer> {
  const { GenericContainer, Wait } = await import('testcontainers');
  const container = await new GenericContainer(options.image)
    .withCommand(options.command)
    .withEnvironment(options.environment)
    .withExposedPorts(options.port)
    .withWaitStrategy(Wait.forHttp(options.health, options.port))
    .start();
  return {
    endpoint: `http://${container.getHost()}:${container.getMappedPort(options.port)}`,
    credentials: options.credentials,
    stop: async () => void (await container.stop()),
  };
}
