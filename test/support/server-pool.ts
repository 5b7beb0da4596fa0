/** The servers of one test run: each started when the first test asks for it, and shared by all test files. */
import { cephMissing, startCeph } from './ceph.ts';
import { dockerMissing, startLocalStack, startMinio } from './containers.ts';
import { isCi } from './ci.ts';
import { motoMissing, startMoto } from './moto.ts';
import type { S3Access } from './s3-client.ts';
import { startSwift, swiftMissing } from './swift.ts';

export interface ServerState {
  name: string;
  /** Why it cannot run here. */
  skipped?: string;
  /** Its absence is a failure: Ceph RGW and Swift in CI, and whatever somebody named by hand. */
  required: boolean;
}

interface PooledServer extends ServerState {
  start: () => Promise<Running>;
  running?: Promise<Running>;
}

interface Running extends S3Access {
  version?: string;
  stop: () => Promise<void>;
}

export const IN_PROCESS = 'in-process';
export const SWIFT = 'Swift s3api';
const REGION = 'us-east-1';

export interface ServerPool {
  states(): ServerState[];
  /** Starts a server at the first call; gives its address at every call. */
  start(name: string): Promise<S3Access>;
  /** Notes that a test file runs against a server that is not shared. */
  use(name: string): void;
  /** Stops all that was started; gives the line that says which servers ran. */
  close(): Promise<string>;
}

export async function openServerPool(env: NodeJS.ProcessEnv): Promise<ServerPool> {
  const servers = await knownServers(env);
  const used = new Set<string>();
  return {
    states: () =>
      servers.map(({ name, skipped, required }) => ({
        name,
        ...(skipped !== undefined && { skipped }),
        required,
      })),
    use: (name) => void used.add(name),
    async start(name) {
      const found = servers.find((candidate) => candidate.name === name);
      if (found === undefined) throw new Error(`no server is called ${name}`);
      used.add(name);
      found.running ??= found.start();
      const { endpoint, region, credentials, guest } = await found.running;
      return { endpoint, region, credentials, ...(guest && { guest }) };
    },
    async close() {
      const started = servers.flatMap(({ running }) => (running === undefined ? [] : [running]));
      await Promise.all(started.map((running) => running.then(({ stop }) => stop()).catch(() => undefined)));
      return summary(servers, used);
    },
  };
}

async function knownServers(env: NodeJS.ProcessEnv): Promise<PooledServer[]> {
  const [ceph, swift, moto, docker] = await Promise.all([
    cephMissing(),
    swiftMissing(),
    motoMissing(),
    dockerMissing(env),
  ]);
  const inRegion = async <T>(server: Promise<T>): Promise<T & { region: string }> => ({
    ...(await server),
    region: REGION,
  });
  return [
    // Started by the test file itself; listed for the summary.
    server(IN_PROCESS, undefined, () => Promise.reject(new Error('not in the pool'))),
    { ...server('Ceph RGW', ceph, () => inRegion(startCeph())), required: isCi(env) },
    { ...server(SWIFT, swift, () => inRegion(startSwift())), required: isCi(env) },
    server('moto', moto, async () => ({
      ...(await inRegion(startMoto())),
      credentials: { accessKeyId: 'AKIATESTMOTO00000000', secretAccessKey: 'any' },
    })),
    server('MinIO', docker, () => inRegion(startMinio())),
    server('LocalStack', docker, () => inRegion(startLocalStack())),
    external(env),
  ];
}

function server(name: string, skipped: string | undefined, start: () => Promise<Running>): PooledServer {
  return { name, ...(skipped !== undefined && { skipped }), required: false, start };
}

/** Any other server: TEST_S3_ENDPOINT with AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, and TEST_S3_BUCKET where buckets cannot be made. */
function external(env: NodeJS.ProcessEnv): PooledServer {
  const name = 'TEST_S3_ENDPOINT';
  const endpoint = env['TEST_S3_ENDPOINT'];
  if (!endpoint) return server(name, 'not set', () => Promise.reject(new Error('not set')));
  const { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_SESSION_TOKEN } = env;
  if (!accessKeyId || !secretAccessKey) {
    const reason = 'AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not set';
    return { ...server(name, reason, () => Promise.reject(new Error(reason))), required: true };
  }
  const credentials = {
    accessKeyId,
    secretAccessKey,
    ...(AWS_SESSION_TOKEN && { sessionToken: AWS_SESSION_TOKEN }),
  };
  const region = env['AWS_REGION'] || REGION;
  return {
    ...server(name, undefined, async () => ({ endpoint, region, credentials, stop: async () => {} })),
    required: true,
  };
}

/** `S3 servers tested: in-process, Ceph RGW. Not run: moto (moto_server not on PATH), …` */
function summary(servers: readonly PooledServer[], used: ReadonlySet<string>): string {
  const ran = servers.filter(({ name }) => used.has(name)).map(({ name }) => name);
  const reasons = new Map<string, string[]>();
  for (const { name, skipped } of servers.filter((candidate) => !used.has(candidate.name))) {
    const reason = skipped ?? 'no test asked';
    reasons.set(reason, [...(reasons.get(reason) ?? []), name]);
  }
  const rest = [...reasons].map(([reason, names]) => `${names.join(' and ')} (${reason})`);
  return `S3 servers tested: ${ran.join(', ') || 'none'}.${rest.length > 0 ? ` Not run: ${rest.join(', ')}.` : ''}`;
}
