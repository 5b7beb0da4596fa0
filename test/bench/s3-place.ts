/** The one S3 server that both sides of the end-to-end part talk to. */
import {
  type _Object,
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectsV2Command,
} from '@aws-sdk/client-s3';
import { cephMissing, startCeph } from '../support/ceph.ts';
import { createClient } from '../support/s3-client.ts';
import { startS3Server } from '../support/s3-server.ts';

export interface S3Place {
  /** As docs/benchmarks.md names it. */
  name: string;
  endpoint: string;
  accessKeyId: string;
  secretAccessKey: string;
  bucket: string;
  /** Bytes of all objects under a prefix. */
  sizeUnder: (prefix: string) => Promise<number>;
  /** The keys of all objects under a prefix. */
  keysUnder: (prefix: string) => Promise<string[]>;
  remove: (keys: readonly string[]) => Promise<void>;
  stop: () => Promise<void>;
}

const BUCKET = 'bench';

/** Ceph RGW, a production server, where it is installed; else the one that the tests bring. */
export async function startS3Place(): Promise<S3Place> {
  const server = (await cephMissing()) === undefined ? await ceph() : await inProcess();
  const { endpoint, accessKeyId, secretAccessKey } = server;
  const credentials = { accessKeyId, secretAccessKey };
  const client = createClient({ endpoint, region: 'us-east-1', credentials });
  await client.send(new CreateBucketCommand({ Bucket: BUCKET }));
  const list = async (prefix: string): Promise<_Object[]> => {
    const listing = new ListObjectsV2Command({ Bucket: BUCKET, Prefix: `${prefix}/` });
    return (await client.send(listing)).Contents ?? [];
  };
  return {
    ...server,
    bucket: BUCKET,
    sizeUnder: async (prefix) => (await list(prefix)).reduce((total, { Size = 0 }) => total + Size, 0),
    keysUnder: async (prefix) => (await list(prefix)).map(({ Key = '' }) => Key),
    async remove(keys) {
      for (const Key of keys) await client.send(new DeleteObjectCommand({ Bucket: BUCKET, Key }));
    },
    async stop() {
      client.destroy();
      await server.stop();
    },
  };
}

type Server = Omit<S3Place, 'bucket' | 'sizeUnder' | 'keysUnder' | 'remove'>;

async function ceph(): Promise<Server> {
  const { endpoint, credentials, version, stop } = await startCeph();
  return { name: `Ceph RGW ${version}, one process each, data in memory`, endpoint, ...credentials, stop };
}

async function inProcess(): Promise<Server> {
  const server = await startS3Server({ buckets: [] });
  const { accessKeyId, secretAccessKey } = server.credentials;
  return {
    name: "the tests' own server, in one Node process (radosgw is not installed)",
    endpoint: server.endpoint,
    accessKeyId,
    secretAccessKey,
    stop: () => server.close(),
  };
}
