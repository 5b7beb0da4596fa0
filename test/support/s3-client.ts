import { S3Client } from '@aws-sdk/client-s3';
import type { S3ClientConfig } from '@aws-sdk/client-s3';

/** What a client has to know of a server. */
export interface S3Access {
  endpoint: string;
  region: string;
  credentials: { accessKeyId: string; secretAccessKey: string; sessionToken?: string };
  /** Keys of somebody else, where the server enforces policies. */
  guest?: { accessKeyId: string; secretAccessKey: string };
}

const SILENT = { trace() {}, debug() {}, info() {}, warn() {}, error() {} };

/** The SDK's client, path style, one attempt a call: a test wants the first answer. */
export function createClient(access: S3Access, options: Partial<S3ClientConfig> = {}): S3Client {
  // The only switch of the SDK's notice on Node 20.
  process.env['AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED'] = 'true';
  return new S3Client({
    endpoint: access.endpoint,
    region: access.region,
    credentials: access.credentials,
    forcePathStyle: true,
    maxAttempts: 1,
    logger: SILENT,
    ...options,
  });
}
