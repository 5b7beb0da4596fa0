import { execFile } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { promisify } from 'node:util';
import {
  CompleteMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketPolicyCommand,
  DeleteObjectCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketLocationCommand,
  GetBucketPolicyCommand,
  GetObjectCommand,
  GetPublicAccessBlockCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  ListObjectsV2Command,
  PutBucketLifecycleConfigurationCommand,
  PutBucketPolicyCommand,
  PutObjectCommand,
  PutPublicAccessBlockCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { ChecksumAlgorithm, S3Client, S3ServiceException } from '@aws-sdk/client-s3';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { AwsAgent, awsEnvironment, startAws, virtualHostEnvironment } from './host-names.ts';
import { findProgram } from './daemon.ts';
import { createClient } from './s3-client.ts';
import { startS3Server } from './s3-server.ts';
import type { S3Server, S3ServerOptions } from './s3-server.ts';

const run = promisify(execFile);
const Bucket = 'test-bucket';

async function serve(options: S3ServerOptions = {}): Promise<{ server: S3Server; client: S3Client }> {
  const server = await startS3Server(options);
  const client = createClient(server);
  onTestFinished(async () => {
    client.destroy();
    await server.close();
  });
  return { server, client };
}

describe('bodies', () => {
  it.for(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] satisfies ChecksumAlgorithm[])(
    'are checked against %s, which comes back on request',
    async (ChecksumAlgorithm) => {
      const { client } = await serve();
      const Body = randomBytes(100_000);
      await client.send(new PutObjectCommand({ Bucket, Key: 'x', Body, ChecksumAlgorithm }));
      const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'x', ChecksumMode: 'ENABLED' }));
      expect(answer[`Checksum${ChecksumAlgorithm}`]).toEqual(expect.any(String));
      // The SDK computes it again over what it reads and throws when it differs.
      expect(Buffer.from((await answer.Body?.transformToByteArray()) ?? [])).toEqual(Body);
    },
  );

  it.for([
    ['changed behind the signature', { tampered: 'other', headers: {} }, 'XAmzContentSHA256Mismatch', 400],
    ['with a wrong Content-MD5', { headers: { 'content-md5': md5('other') } }, 'BadDigest', 400],
    ['with a malformed Content-MD5', { headers: { 'content-md5': 'AAAA' } }, 'InvalidDigest', 400],
    ['with a wrong checksum', { headers: { 'x-amz-checksum-crc32': 'AAAAAA==' } }, 'BadDigest', 400],
  ] as const)('%s are refused and not stored', async ([, change, name, status]) => {
    const { client, server } = await serve();
    alter(client, change);
    expect(await failure(client.send(new PutObjectCommand({ Bucket, Key: 'x', Body: 'value' })))).toEqual({
      name,
      status,
    });
    expect(server.read(Bucket, 'x')).toBeUndefined();
  });

  it('framed with a trailer are stored without the framing', async () => {
    const { client, server } = await serve();
    const Body = Readable.from([Buffer.from('str'), Buffer.from('eamed')]);
    await client.send(new PutObjectCommand({ Bucket, Key: 'x', Body, ContentLength: 8 }));
    expect(server.requests[0]?.headers).toMatchObject({
      'x-amz-content-sha256': 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
      'x-amz-trailer': 'x-amz-checksum-crc32',
    });
    expect(server.read(Bucket, 'x')?.toString()).toBe('streamed');
    expect(server.bucket(Bucket).objects.get('x')?.headers).not.toHaveProperty('content-encoding');
  });
});

describe('multipart uploads', () => {
  it('are completed in order, by their own key, and only while they exist', async () => {
    const { client } = await serve();
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'x' }));
    const upload = { Bucket, Key: 'x', UploadId };
    const part = async (PartNumber: number) => {
      const { ETag, ChecksumCRC32 } = await client.send(
        new UploadPartCommand({ ...upload, PartNumber, Body: 'x' }),
      );
      return { PartNumber, ETag, ChecksumCRC32 };
    };
    const complete = (Parts: Awaited<ReturnType<typeof part>>[], Key = 'x') =>
      client.send(new CompleteMultipartUploadCommand({ ...upload, Key, MultipartUpload: { Parts } }));
    const [one, two] = [await part(1), await part(2)];
    expect(await failure(complete([two, one]))).toEqual({ name: 'InvalidPartOrder', status: 400 });
    expect(await failure(complete([one, two]))).toEqual({ name: 'EntityTooSmall', status: 400 });
    expect(await failure(complete([one], 'y'))).toEqual({ name: 'NoSuchUpload', status: 404 });
    expect(await failure(complete([{ ...one, ChecksumCRC32: 'AAAAAA==' }]))).toEqual({
      name: 'InvalidPart',
      status: 400,
    });
    await complete([one]);
    expect(await failure(complete([one]))).toEqual({ name: 'NoSuchUpload', status: 404 });
    expect(await failure(part(10_001))).toEqual({ name: 'InvalidArgument', status: 400 });
  });

  it('replace only the object that If-Match names', async () => {
    const { client, server } = await serve();
    const attempt = async (IfMatch: string) => {
      const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'x' }));
      const upload = { Bucket, Key: 'x', UploadId };
      const { ETag, ChecksumCRC32 } = await client.send(
        new UploadPartCommand({ ...upload, PartNumber: 1, Body: 'new' }),
      );
      const Parts = [{ PartNumber: 1, ETag, ChecksumCRC32 }];
      return client.send(
        new CompleteMultipartUploadCommand({ ...upload, IfMatch, MultipartUpload: { Parts } }),
      );
    };
    expect(await failure(attempt('"00"'))).toEqual({ name: 'NoSuchKey', status: 404 });
    const { etag } = server.place(Bucket, { key: 'x', body: Buffer.from('old') });
    expect(await failure(attempt('"00"'))).toEqual({ name: 'PreconditionFailed', status: 412 });
    await attempt(`"${etag}"`);
    expect(server.read(Bucket, 'x')?.toString()).toBe('new');
  });
});

describe('users', () => {
  it('without a right get 403, and without ListBucket cannot tell what is missing', async () => {
    const reader = {
      accessKeyId: 'AKIAREADER0000000000',
      secretAccessKey: 'r',
      deny: (name: string) => !/^(Get|Head)/.test(name),
    };
    const { server, client } = await serve();
    server.addUser(reader);
    server.place(Bucket, { key: 'x', body: Buffer.from('x') });
    const own = createClient({ ...accessOf(server), credentials: reader });
    onTestFinished(() => own.destroy());
    await own.send(new GetObjectCommand({ Bucket, Key: 'x' }));
    const denied = { name: 'AccessDenied', status: 403 };
    expect(await failure(own.send(new PutObjectCommand({ Bucket, Key: 'y', Body: 'x' })))).toEqual(denied);
    expect(await failure(own.send(new GetObjectCommand({ Bucket, Key: 'y' })))).toEqual(denied);
    expect(await failure(own.send(new ListObjectsV2Command({ Bucket })))).toEqual(denied);
    expect((await failure(own.send(new HeadObjectCommand({ Bucket, Key: 'y' })))).status).toBe(403);
    expect(await failure(client.send(new GetObjectCommand({ Bucket, Key: 'y' })))).toEqual({
      name: 'NoSuchKey',
      status: 404,
    });
  });

  it('with temporary credentials need their token', async () => {
    const temporary = {
      accessKeyId: 'ASIATEMPORARY0000000',
      secretAccessKey: 's',
      sessionToken: 'the-token',
    };
    const { server, client } = await serve({ users: [temporary] });
    await client.send(new HeadBucketCommand({ Bucket }));
    const { accessKeyId, secretAccessKey } = temporary;
    const bare = createClient({ ...accessOf(server), credentials: { accessKeyId, secretAccessKey } });
    onTestFinished(() => bare.destroy());
    expect((await failure(bare.send(new ListObjectsV2Command({ Bucket })))).name).toBe('InvalidToken');
  });

  it('without a signature get 403', async () => {
    const { server } = await serve();
    const answer = await fetch(`${server.endpoint}/${Bucket}/x`);
    expect(answer.status).toBe(403);
    expect(await answer.text()).toContain('<Code>AccessDenied</Code>');
  });
});

describe('regions', () => {
  it('a bucket elsewhere says where', async () => {
    const { client } = await serve({ buckets: [{ name: 'far-away', region: 'eu-west-1' }] });
    const attempt = client.send(new GetObjectCommand({ Bucket: 'far-away', Key: 'x' }));
    const error = await attempt.catch((reason: S3ServiceException) => reason);
    expect(error).toMatchObject({
      name: 'AuthorizationHeaderMalformed',
      $response: { headers: { 'x-amz-bucket-region': 'eu-west-1' } },
    });
    expect(await client.send(new GetBucketLocationCommand({ Bucket: 'far-away' }))).toMatchObject({
      LocationConstraint: 'eu-west-1',
    });
  });

  it('buckets are made where the request says', async () => {
    const { client, server } = await serve();
    const CreateBucketConfiguration = { LocationConstraint: 'eu-central-1' } as const;
    await client.send(new CreateBucketCommand({ Bucket: 'made-here', CreateBucketConfiguration }));
    expect(server.bucket('made-here').region).toBe('eu-central-1');
    expect((await failure(client.send(new CreateBucketCommand({ Bucket: 'made-here' })))).name).toBe(
      'BucketAlreadyOwnedByYou',
    );
    expect((await client.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toEqual([
      'made-here',
      Bucket,
    ]);
  });
});

describe('AWS mode', () => {
  it('takes virtual-host addresses of real AWS names over TLS, and redirects between regions', async () => {
    const server = await startAws({ buckets: [Bucket, { name: 'far-away', region: 'eu-west-1' }] });
    const { S3Client } = await import('@aws-sdk/client-s3');
    const options = {
      credentials: server.credentials,
      requestHandler: { httpsAgent: new AwsAgent(server) },
      maxAttempts: 1,
    };
    const client = new S3Client({ ...options, region: 'us-east-1' });
    const following = new S3Client({ ...options, region: 'us-east-1', followRegionRedirects: true });
    onTestFinished(async () => {
      client.destroy();
      following.destroy();
      await server.close();
    });
    await client.send(new PutObjectCommand({ Bucket, Key: 'a b/c', Body: 'x' }));
    expect(server.requests.at(-1)?.headers['host']).toBe('test-bucket.s3.us-east-1.amazonaws.com');
    expect(server.read(Bucket, 'a b/c')?.toString()).toBe('x');
    const far = { Bucket: 'far-away', Key: 'x' };
    expect(await failure(client.send(new GetObjectCommand(far)))).toEqual({
      name: 'PermanentRedirect',
      status: 301,
    });
    expect(await failure(following.send(new GetObjectCommand(far)))).toEqual({
      name: 'NoSuchKey',
      status: 404,
    });
    expect(server.requests.at(-1)?.headers['host']).toBe('far-away.s3.eu-west-1.amazonaws.com');
  });

  it('is all that a child process sees', async () => {
    const server = await startAws();
    onTestFinished(() => server.close());
    expect(await putFromChild(awsEnvironment(server), {})).toBe('ok');
    expect(server.read(Bucket, 'k')?.toString()).toBe('child');
    expect(server.requests.at(-1)?.headers['host']).toBe('test-bucket.s3.us-east-1.amazonaws.com');
  });

  it('refuses a client that does not trust the certificate', async () => {
    const server = await startAws();
    onTestFinished(() => server.close());
    await expect(fetch(server.endpoint)).rejects.toMatchObject({
      cause: { code: 'DEPTH_ZERO_SELF_SIGNED_CERT' },
    });
  });
});

it('takes virtual-host addresses below localhost', async () => {
  const { server } = await serve();
  expect(await putFromChild(virtualHostEnvironment(server), { forcePathStyle: false })).toBe('ok');
  expect(server.read(Bucket, 'k')?.toString()).toBe('child');
  expect(server.requests.at(-1)?.headers['host']).toBe(`test-bucket.localhost:${server.port}`);
});

describe('bucket settings', () => {
  it('come back as they were put', async () => {
    const { client } = await serve();
    const missing = await failure(client.send(new GetPublicAccessBlockCommand({ Bucket })));
    expect(missing.name).toBe('NoSuchPublicAccessBlockConfiguration');
    const PublicAccessBlockConfiguration = {
      BlockPublicAcls: true,
      IgnorePublicAcls: true,
      BlockPublicPolicy: true,
      RestrictPublicBuckets: true,
    };
    await client.send(new PutPublicAccessBlockCommand({ Bucket, PublicAccessBlockConfiguration }));
    expect(await client.send(new GetPublicAccessBlockCommand({ Bucket }))).toMatchObject({
      PublicAccessBlockConfiguration,
    });

    const { ServerSideEncryptionConfiguration } = await client.send(
      new GetBucketEncryptionCommand({ Bucket }),
    );
    const rule = ServerSideEncryptionConfiguration?.Rules?.[0];
    expect(rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm).toBe('AES256');

    const Rules = [
      { ID: 'old', Status: 'Enabled' as const, Filter: { Prefix: 'cache/' }, Expiration: { Days: 30 } },
    ];
    const LifecycleConfiguration = { Rules };
    await client.send(new PutBucketLifecycleConfigurationCommand({ Bucket, LifecycleConfiguration }));
    expect(await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).toMatchObject({
      Rules,
    });

    const Policy = '{"Version":"2012-10-17","Statement":[]}';
    await client.send(new PutBucketPolicyCommand({ Bucket, Policy }));
    expect(await client.send(new GetBucketPolicyCommand({ Bucket }))).toMatchObject({ Policy });
    await client.send(new DeleteBucketPolicyCommand({ Bucket }));
    expect((await failure(client.send(new GetBucketPolicyCommand({ Bucket })))).name).toBe(
      'NoSuchBucketPolicy',
    );
  });
});

describe('deleting', () => {
  it('with If-Match removes only that object', async () => {
    const { client, server } = await serve();
    const { etag } = server.place(Bucket, { key: 'x', body: Buffer.from('x') });
    const remove = (IfMatch: string) => client.send(new DeleteObjectCommand({ Bucket, Key: 'x', IfMatch }));
    expect(await failure(remove('"00"'))).toEqual({ name: 'PreconditionFailed', status: 412 });
    expect(server.read(Bucket, 'x')).toBeDefined();
    await remove(`"${etag}"`);
    expect(server.read(Bucket, 'x')).toBeUndefined();
  });
});

describe.skipIf((await findProgram('aws')) === undefined)('the aws command', () => {
  let folder: string;
  beforeEach(() => void (folder = mkdtempSync(join(tmpdir(), 'sandbox-cache-test-'))));
  afterEach(() => rmSync(folder, { recursive: true, force: true }));

  it('copies up in parts, lists, copies down and removes', async () => {
    const { server } = await serve();
    const env = {
      PATH: process.env['PATH'],
      HOME: folder,
      AWS_ENDPOINT_URL: server.endpoint,
      ...server.environment,
    };
    const aws = async (...args: string[]) => (await run('aws', ['s3', ...args], { env, cwd: folder })).stdout;
    const body = randomBytes(20 * 1024 * 1024);
    writeFileSync(join(folder, 'big'), body);
    await aws('cp', 'big', `s3://${Bucket}/dir/big name`, '--no-progress');
    expect(server.count('UploadPart')).toBe(3);
    expect(await aws('ls', `s3://${Bucket}/dir/`)).toMatch(/ 20971520 big name\n$/);
    await aws('cp', `s3://${Bucket}/dir/big name`, 'back', '--no-progress');
    expect(readFileSync(join(folder, 'back')).equals(body)).toBe(true);
    await aws('rm', `s3://${Bucket}/dir/big name`);
    expect(server.bucket(Bucket).objects.size).toBe(0);
  });
});

function accessOf(server: S3Server): Pick<S3Server, 'endpoint' | 'region' | 'credentials'> {
  return { endpoint: server.endpoint, region: server.region, credentials: server.credentials };
}

async function putFromChild(
  env: Record<string, string>,
  config: { forcePathStyle?: boolean },
): Promise<string> {
  const script = `
    import { S3Client, PutObjectCommand } from '@aws-sdk/client-s3';
    const client = new S3Client(${JSON.stringify(config)});
    await client.send(new PutObjectCommand({ Bucket: '${Bucket}', Key: 'k', Body: 'child' }));
    console.log('ok');`;
  const quiet = { AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED: 'true' };
  const options = { env: { PATH: process.env['PATH'], ...quiet, ...env } };
  return (await run(process.execPath, ['--input-type=module', '-e', script], options)).stdout.trim();
}

/** Adds headers before signing; replaces the body after it. */
function alter(
  client: S3Client,
  change: { headers: Readonly<Record<string, string>>; tampered?: string },
): void {
  client.middlewareStack.add(
    (next) => (args) => {
      Object.assign((args.request as { headers: Record<string, string> }).headers, change.headers);
      return next(args);
    },
    { step: 'build', priority: 'low' },
  );
  if (change.tampered === undefined) return;
  client.middlewareStack.add(
    (next) => (args) => {
      Object.assign(args.request as { body: string }, { body: change.tampered });
      return next(args);
    },
    { step: 'deserialize', priority: 'low' },
  );
}

async function failure(call: Promise<unknown>): Promise<{ name: string; status: number | undefined }> {
  const error = await call.then(
    () => ({ name: 'no failure' }),
    (reason: S3ServiceException) => ({ name: reason.name, status: reason.$metadata?.httpStatusCode }),
  );
  return { status: undefined, ...error };
}

function md5(text: string): string {
  return createHash('md5').update(text).digest('base64');
}
