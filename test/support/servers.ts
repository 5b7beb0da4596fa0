/**
 * Every S3 server the tests can reach, behind one interface, and `describeEachServer` to run one suite against each:
 *
 *     const servers = await availableServers();
 *     describeEachServer(servers, (target) => {
 *       it('…', async () => {
 *         const { bucket, prefix } = await target().place();
 *       });
 *     });
 */
import { randomBytes } from 'node:crypto';
import { CreateBucketCommand, DeleteObjectsCommand, ListObjectsV2Command } from '@aws-sdk/client-s3';
import type { S3Client } from '@aws-sdk/client-s3';
import { afterAll, beforeAll, describe, it } from 'vitest';
import { createClient } from './s3-client.ts';
import type { S3Access } from './s3-client.ts';
import { startS3Server } from './s3-server.ts';
import type { S3Server } from './s3-server.ts';
import { IN_PROCESS, SWIFT } from './server-pool.ts';
import type { ServerState } from './server-pool.ts';
import { probeTraits } from './server-traits.ts';
import type { ServerTraits } from './server-traits.ts';
import { askSharedRun } from './shared-run.ts';

export interface ServerChoice extends ServerState {
  /** Starts it, or joins the one that runs already. @throws Error with the reason when it is skipped */
  start(): Promise<S3Target>;
}

export interface S3Target extends S3Access {
  name: string;
  traits: ServerTraits & {
    /** Of many conditional writers at the same moment, one wins. */
    atomicConditions: boolean;
    /** Conditions of writes are answered with 501; those of copies and deletions are refused for objects of several parts. */
    refusesConditions: boolean;
    /** Buckets have versions, lifecycle rules, public access blocks. */
    bucketSettings: boolean;
  };
  /** The server itself where it is ours: its log of requests, its faults, what it stores. */
  inProcess: S3Server | undefined;
  client: S3Client;
  /** What a child process needs to reach it. */
  environment: Record<string, string>;
  /** An empty place of one's own: a new bucket, or in `TEST_S3_BUCKET` a new prefix (ends in `/`; empty in a new bucket). */
  place(): Promise<{ bucket: string; prefix: string }>;
  /** Leaves shared servers running; ends the in-process one. */
  close(): Promise<void>;
}

export async function availableServers(): Promise<ServerChoice[]> {
  const states = await askSharedRun<ServerState[]>('/servers');
  return states.map((state) => ({
    ...state,
    async start() {
      if (state.skipped !== undefined)
        throw new Error(`${state.name} must run here but cannot: ${state.skipped}`);
      return state.name === IN_PROCESS ? startInProcess() : joinShared(state.name);
    },
  }));
}

/** One `describe` a server. A server that cannot run is skipped with its reason, or fails where it is required. */
export function describeEachServer(
  servers: readonly ServerChoice[],
  suite: (target: () => S3Target) => void,
): void {
  for (const server of servers) {
    describe(server.name, () => {
      if (server.skipped !== undefined && !server.required) {
        it.skip(`cannot run here: ${server.skipped}`);
        return;
      }
      let target: S3Target | undefined;
      beforeAll(async () => {
        target = await server.start();
      });
      afterAll(() => target?.close());
      suite(() => {
        if (target === undefined) throw new Error(`${server.name} has not started yet`);
        return target;
      });
    });
  }
}

async function startInProcess(): Promise<S3Target> {
  await askSharedRun('/use', IN_PROCESS);
  const server = await startS3Server();
  const access = { endpoint: server.endpoint, region: server.region, credentials: server.credentials };
  const target = await createTarget(access, { name: IN_PROCESS, inProcess: server });
  return {
    ...target,
    async close() {
      await target.close();
      await server.close();
    },
  };
}

async function joinShared(name: string): Promise<S3Target> {
  const access = await askSharedRun<S3Access>('/start', name);
  return createTarget(access, { name, inProcess: undefined });
}

async function createTarget(
  access: S3Access,
  identity: Pick<S3Target, 'name' | 'inProcess'>,
): Promise<S3Target> {
  const client = createClient(access, { maxAttempts: 3 });
  const shared = identity.name === 'TEST_S3_ENDPOINT' ? process.env['TEST_S3_BUCKET'] : undefined;
  const places: { bucket: string; prefix: string }[] = [];
  const place: S3Target['place'] = async () => {
    const suffix = randomBytes(6).toString('hex');
    if (shared) {
      places.push({ bucket: shared, prefix: `sandbox-cache-test-${suffix}/` });
      return { bucket: shared, prefix: `sandbox-cache-test-${suffix}/` };
    }
    const bucket = `sandbox-cache-test-${suffix}`;
    await client.send(new CreateBucketCommand({ Bucket: bucket }));
    return { bucket, prefix: '' };
  };
  const { accessKeyId, secretAccessKey, sessionToken } = access.credentials;
  return {
    ...access,
    ...identity,
    client,
    traits: {
      ...(await probeTraits(access, await place())),
      // moto looks first and stores later, in threads: several of many writers can win. No probe shows that for sure.
      // Swift decides by the time of each write, some of them at once.
      atomicConditions: identity.name !== 'moto' && identity.name !== SWIFT,
      refusesConditions: identity.name === SWIFT,
      bucketSettings: identity.name !== SWIFT,
    },
    environment: {
      AWS_ENDPOINT_URL_S3: access.endpoint,
      AWS_REGION: access.region,
      AWS_ACCESS_KEY_ID: accessKeyId,
      AWS_SECRET_ACCESS_KEY: secretAccessKey,
      ...(sessionToken && { AWS_SESSION_TOKEN: sessionToken }),
    },
    place,
    async close() {
      for (const { bucket, prefix } of places) await empty(client, bucket, prefix);
      client.destroy();
    },
  };
}

async function empty(client: S3Client, Bucket: string, Prefix: string): Promise<void> {
  const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, Prefix }));
  const Objects = Contents.flatMap(({ Key }) => (Key === undefined ? [] : [{ Key }]));
  if (Objects.length > 0) await client.send(new DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
}
