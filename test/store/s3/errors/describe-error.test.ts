/** Every way S3 can fail: its own code, its own sentence, and a hint. */
import { createServer, type Server } from 'node:net';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CacheError, type ErrorCode } from '../../../../src/errors.ts';
import { createS3Store, type S3StoreOptions } from '../../../../src/store/s3/s3-store.ts';
import type { Store } from '../../../../src/store/store.ts';
import { startS3Server, type S3Server } from '../../../support/s3-server.ts';
import { keysOf, pieces } from '../../contract.ts';
import { s3Options } from '../subject.ts';

const KEY = 'cache/npm-0123.tar.gz';
const { signal } = new AbortController();

let server: S3Server;
let folder: string;
beforeEach(async () => {
  server = await startS3Server();
  folder = await mkdtemp(join(tmpdir(), 'sandbox-cache-errors-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await server.close();
  await rm(folder, { recursive: true });
});

async function failure(
  options: Partial<S3StoreOptions>,
  work: (store: Store) => Promise<unknown> = lookUp,
): Promise<CacheError> {
  const store = await createS3Store({
    ...s3Options(server, { bucket: 'test-bucket' }),
    retryDelayMs: 1,
    stallTimeoutMs: 2000,
    ...options,
  });
  try {
    await work(store);
  } catch (error) {
    if (!(error instanceof CacheError)) throw error;
    expect(error.hint).toBeTruthy();
    expect(error.message).not.toMatch(/[\r\n]/);
    return error;
  } finally {
    store.close();
  }
  throw new Error('it succeeded');
}

const lookUp = (store: Store): Promise<unknown> => store.stat(KEY, { signal });
const read = (store: Store): Promise<unknown> => store.open(KEY, { signal });
const list = (store: Store): Promise<unknown> => keysOf(store, 'cache/');
const remove = (store: Store): Promise<unknown> => store.remove(KEY, { signal });
const write = (store: Store): Promise<unknown> =>
  store.write(KEY, pieces(Buffer.alloc(1000), 100), { ifExists: 'keep', metadata: {}, signal });
const EVERYTHING = { lookUp, read, list, remove, write };

describe('what S3 answers', () => {
  const answers: [number, string, ErrorCode, RegExp][] = [
    [404, 'NoSuchBucket', 'STORE_NO_BUCKET', /test-bucket does not exist/],
    [403, 'AccessDenied', 'STORE_ACCESS_DENIED', /Access denied: s3:GetObject/],
    [403, 'InvalidAccessKeyId', 'STORE_BAD_CREDENTIALS', /access key id is not known/],
    [403, 'SignatureDoesNotMatch', 'STORE_BAD_CREDENTIALS', /secret access key does not fit/],
    [400, 'ExpiredToken', 'STORE_BAD_CREDENTIALS', /token has expired/],
    [400, 'InvalidToken', 'STORE_BAD_CREDENTIALS', /token is not valid/],
    [403, 'RequestTimeTooSkewed', 'STORE_BAD_CREDENTIALS', /clock of this machine is wrong/],
    [301, 'PermanentRedirect', 'STORE_WRONG_REGION', /not in us-east-1/],
    [503, 'SlowDown', 'STORE_BUSY', /busy \(503 SlowDown\)/],
    [503, 'ServiceUnavailable', 'STORE_BUSY', /busy \(503 ServiceUnavailable\)/],
    [500, 'InternalError', 'STORE_FAILED', /failed \(500 InternalError\)/],
    [400, 'RequestTimeout', 'STORE_FAILED', /failed \(400 RequestTimeout\)/],
    [400, 'EntityTooLarge', 'STORE_FAILED', /does not fit/],
    [403, 'InvalidObjectState', 'STORE_FAILED', /archive storage class/],
    [400, 'KMS.DisabledException', 'STORE_ACCESS_DENIED', /KMS key/],
    [400, 'BadDigest', 'STORE_FAILED', /altered on the way/],
    [501, 'NotImplemented', 'STORE_FAILED', /does not implement/],
    [400, 'InvalidRequest', 'STORE_FAILED', /refused s3:GetObject/],
    [400, 'InvalidBucketName', 'CONFIG_INVALID', /no valid bucket name/],
    [418, 'SomethingNew', 'STORE_FAILED', /answered 418 SomethingNew/],
  ];

  it.each(answers)('%d %s', async (status, code, expected, sentence) => {
    // Who may list knows that the entry is there.
    server.place('test-bucket', { key: KEY, body: Buffer.alloc(9) });
    const effect = { type: 'error', status, code } as const;
    server.faults.add({ match: ({ operation }) => operation !== 'ListObjectsV2', times: 100, effect });
    const error = await failure({});
    expect([error.code, error.message]).toEqual([expected, expect.stringMatching(sentence)]);
  });
});

describe('the bucket', () => {
  it.each(Object.entries(EVERYTHING))('that does not exist is named, on %s', async (_, work) => {
    const error = await failure({ bucket: 'no-such-bucket' }, work);
    expect(error.code).toBe('STORE_NO_BUCKET');
    expect(error.message).toContain('no-such-bucket');
  });
});

describe('credentials', () => {
  it('with an unknown key id', async () => {
    const credentials = { accessKeyId: 'AKIAUNKNOWN', secretAccessKey: 'x' };
    expect((await failure({ credentials })).code).toBe('STORE_BAD_CREDENTIALS');
  });

  it.each(Object.entries(EVERYTHING))('with a wrong secret, on %s', async (_, work) => {
    const credentials = { ...server.credentials, secretAccessKey: 'canary-secret-value' };
    const error = await failure({ credentials }, work);
    expect(error.code).toBe('STORE_BAD_CREDENTIALS');
    expect(everythingOf(error)).not.toMatch(/canary|AKIATEST|Signature=|[0-9a-f]{64}/);
  });

  it('that may not do it: the action to allow is named', async () => {
    const needs = {
      lookUp: 's3:GetObject',
      read: 's3:GetObject',
      list: 's3:ListBucket',
      remove: 's3:DeleteObject',
      write: 's3:PutObject',
    };
    const credentials = { accessKeyId: 'AKIANOBODY', secretAccessKey: 'x' };
    // Who may list knows that the entry is there.
    server.addUser({ ...credentials, deny: (operation) => operation !== 'ListObjectsV2' });
    server.addUser({ accessKeyId: 'AKIANOLIST', secretAccessKey: 'x', deny: () => true });
    server.place('test-bucket', { key: KEY, body: Buffer.alloc(9) });
    for (const [name, work] of Object.entries(EVERYTHING)) {
      const noList = { ...credentials, accessKeyId: 'AKIANOLIST' };
      const error = await failure({ credentials: name === 'list' ? noList : credentials }, work);
      expect(error.code).toBe('STORE_ACCESS_DENIED');
      expect(error.hint).toContain(needs[name as keyof typeof needs]);
    }
  });

  describe('that may not list', () => {
    const credentials = { accessKeyId: 'AKIANOLIST', secretAccessKey: 'x' };
    const look = async (
      deny: (operation: string) => boolean,
      work: (store: Store) => Promise<unknown>,
    ): Promise<{ found: unknown; warnings: unknown[] }> => {
      server.addUser({ ...credentials, deny });
      const warnings: unknown[] = [];
      const emit: S3StoreOptions['emit'] = (event) => event.type === 'warning' && warnings.push(event);
      const options = s3Options(server, { bucket: 'test-bucket' });
      const store = await createS3Store({ ...options, credentials, emit });
      try {
        return { found: await work(store), warnings };
      } finally {
        store.close();
      }
    };

    it.each(Object.entries({ lookUp, read }))(
      'a missing entry is a miss, with the remedy: %s',
      async (_, work) => {
        const { found, warnings } = await look((operation) => operation === 'ListObjectsV2', work);
        expect(found).toBeUndefined();
        expect(warnings).toEqual([
          {
            type: 'warning',
            message: expect.stringContaining(`s3://test-bucket/${KEY} is taken for missing`),
            hint: expect.stringMatching(
              /^Allow s3:ListBucket on arn:aws:s3:::test-bucket and s3:GetObject on .*\/cache\/\*: /,
            ),
          },
        ]);
      },
    );

    it('but may under a condition: a missing entry is a plain miss, one that is there is denied', async () => {
      const mayNotRead = (operation: string): boolean => operation === 'GetObject';
      server.place('test-bucket', { key: `${KEY}.longer`, body: Buffer.alloc(9) });
      expect(await look(mayNotRead, lookUp)).toEqual({ found: undefined, warnings: [] });
      server.place('test-bucket', { key: KEY, body: Buffer.alloc(9) });
      await expect(look(mayNotRead, lookUp)).rejects.toMatchObject({ code: 'STORE_ACCESS_DENIED' });
    });
  });

  it('that may write and not read are enough to save', async () => {
    server.addUser({
      accessKeyId: 'AKIAWRITER',
      secretAccessKey: 'x',
      deny: (operation) => operation === 'GetObject',
    });
    const store = await createS3Store({
      ...s3Options(server, { bucket: 'test-bucket' }),
      credentials: { accessKeyId: 'AKIAWRITER', secretAccessKey: 'x' },
    });
    expect(await write(store)).toMatchObject({ type: 'saved', size: 1000 });
    store.close();
  });

  describe('found nowhere', () => {
    beforeEach(() => {
      for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_PROFILE'])
        vi.stubEnv(name, undefined);
      vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'));
      vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'));
    });

    it('say which sources were tried', async () => {
      vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
      const error = await failure({ credentials: undefined });
      expect(error.code).toBe('STORE_NO_CREDENTIALS');
      expect(error.message).toMatch(
        /AWS_ACCESS_KEY_ID.*profile.*SSO.*web identity.*container.*instance role/,
      );
    });

    it('name the profile that was asked for', async () => {
      vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
      const error = await failure({ credentials: undefined, profile: 'staging' });
      expect(error.code).toBe('STORE_NO_CREDENTIALS');
      expect(error.message).toContain('"staging"');
    });

    it('show although the metadata service never answers', async () => {
      const silent = await listen(createServer(() => {}));
      vi.stubEnv('AWS_EC2_METADATA_SERVICE_ENDPOINT', `http://127.0.0.1:${silent.port}`);
      expect((await failure({ credentials: undefined })).code).toBe('STORE_NO_CREDENTIALS');
      await silent.close();
    });

    it('and a missing token file of a web identity is one of the reasons', async () => {
      vi.stubEnv('AWS_EC2_METADATA_DISABLED', 'true');
      vi.stubEnv('AWS_WEB_IDENTITY_TOKEN_FILE', join(folder, 'token'));
      vi.stubEnv('AWS_ROLE_ARN', 'arn:aws:iam::123456789012:role/cache');
      expect((await failure({ credentials: undefined })).code).toBe('STORE_NO_CREDENTIALS');
    });
  });

  it('come from the profile, with its region and its endpoint', async () => {
    const { accessKeyId, secretAccessKey } = server.credentials;
    await writeFile(
      join(folder, 'config'),
      `[profile ci]\nregion = us-east-1\nendpoint_url = ${server.endpoint}\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`,
    );
    for (const name of ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN', 'AWS_REGION'])
      vi.stubEnv(name, undefined);
    vi.stubEnv('AWS_CONFIG_FILE', join(folder, 'config'));
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'));
    const store = await createS3Store({
      ...s3Options(server, { bucket: 'test-bucket' }),
      credentials: undefined,
      region: undefined,
      endpoint: undefined,
      profile: 'ci',
    });
    expect(await write(store)).toMatchObject({ type: 'saved' });
    expect(server.requests.every(({ bucket }) => bucket === 'test-bucket')).toBe(true);
    store.close();
  });
});

it('the SDK prints nothing, even when it finds two sources of credentials', async () => {
  const { accessKeyId, secretAccessKey } = server.credentials;
  const section = `[ci]\naws_access_key_id = ${accessKeyId}\naws_secret_access_key = ${secretAccessKey}\n`;
  await writeFile(join(folder, 'credentials'), section);
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', join(folder, 'credentials'));
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIAOTHER');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'other');
  vi.stubEnv('AWS_PROFILE', 'ci');
  const printed = vi.spyOn(console, 'warn');
  const store = await createS3Store({
    ...s3Options(server, { bucket: 'test-bucket' }),
    credentials: undefined,
  });
  expect(await write(store)).toMatchObject({ type: 'saved' });
  expect(printed).not.toHaveBeenCalled();
  printed.mockRestore();
  store.close();
});

describe('a clock that is wrong', () => {
  it('by 20 minutes does no harm', async () => {
    const ahead = await startS3Server({ clockOffsetMs: 20 * 60_000 });
    const store = await createS3Store(s3Options(ahead, { bucket: 'test-bucket' }));
    expect(await write(store)).toMatchObject({ type: 'saved' });
    store.close();
    await ahead.close();
  });
});

describe('what answers is not S3:', () => {
  it.each(
    [200, 301, 403, 404, 405, 500].flatMap((status) =>
      Object.entries(EVERYTHING).map(([name, work]) => [status, name, work] as const),
    ),
  )('a web page with status %d, on %s', async (status, _, work) => {
    server.faults.add({ match: () => true, times: 100, effect: { type: 'html', status } });
    expect((await failure({}, work)).code).toBe('STORE_NOT_S3');
  });

  it('a server of another protocol', async () => {
    const ssh = await listen(createServer((socket) => socket.end('SSH-2.0-OpenSSH_9.2\r\n')));
    const error = await failure({ endpoint: `http://127.0.0.1:${ssh.port}` });
    expect([error.code, error.message]).toEqual([
      'STORE_NOT_S3',
      expect.stringContaining('does not speak HTTP'),
    ]);
    await ssh.close();
  });
});

describe('the way there', () => {
  it('refused', async () => {
    const closed = await listen(createServer());
    await closed.close();
    const error = await failure({ endpoint: `http://127.0.0.1:${closed.port}` });
    expect([error.code, error.message]).toEqual([
      'STORE_UNREACHABLE',
      expect.stringContaining(`:${closed.port}`),
    ]);
  });

  it('without a name that resolves', async () => {
    const error = await failure({ endpoint: 'http://no-such-host.invalid:9000' });
    expect([error.code, error.message]).toEqual([
      'STORE_UNREACHABLE',
      expect.stringContaining('does not resolve'),
    ]);
  });

  it('to a server that never answers', async () => {
    const silent = await listen(createServer(() => {}));
    const error = await failure({ endpoint: `http://127.0.0.1:${silent.port}`, stallTimeoutMs: 300 });
    expect(error.code).toBe('STORE_STALLED');
    await silent.close();
  });

  it('with a certificate nobody vouches for', async () => {
    const tls = await startS3Server({ tls: true });
    const error = await failure({ endpoint: tls.endpoint });
    expect([error.code, error.hint]).toEqual(['STORE_TLS', expect.stringContaining('AWS_CA_BUNDLE')]);
    await tls.close();
  });

  it('with a certificate that AWS_CA_BUNDLE vouches for', async () => {
    const tls = await startS3Server({ tls: true });
    await writeFile(join(folder, 'ca.pem'), tls.certificate!);
    const store = await createS3Store({
      ...s3Options(tls, { bucket: 'test-bucket' }),
      caBundle: join(folder, 'ca.pem'),
    });
    expect(await write(store)).toMatchObject({ type: 'saved' });
    store.close();
    await tls.close();
  });

  it('with an AWS_CA_BUNDLE that is not there', async () => {
    const options = {
      ...s3Options(server, { bucket: 'test-bucket' }),
      caBundle: join(folder, 'missing.pem'),
    };
    await expect(createS3Store(options)).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: expect.stringContaining('missing.pem'),
    });
  });

  it('with https:// where no TLS is spoken', async () => {
    const error = await failure({ endpoint: server.endpoint.replace('http:', 'https:') });
    expect([error.code, error.hint]).toEqual(['STORE_TLS', expect.stringContaining('http://')]);
  });

  it.each(['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3'])('set by %s: the hint names that', async (name) => {
    const names = { endpoint: name };
    const lost = await failure({ endpoint: 'http://no-such-host.invalid:9000', names });
    const plain = await failure({ endpoint: server.endpoint.replace('http:', 'https:'), names });
    server.faults.add({ match: () => true, effect: { type: 'html', status: 200 } });
    const page = await failure({ names });
    for (const { hint } of [lost, plain, page]) expect(hint).toMatch(new RegExp(`${name}\\b`));
  });

  it('through a proxy that is refused: the hint names its variable', async () => {
    const error = await failure({
      endpoint: 'https://s3.invalid',
      proxy: { https: 'http://127.0.0.1:1', no: undefined },
      names: { proxy: 'https_proxy' },
    });
    expect([error.code, error.hint]).toEqual(['STORE_UNREACHABLE', expect.stringContaining('https_proxy')]);
  });

  it.each(['127.0.0.1:9000', 'localhost:9000', 'not a url'])(
    'with "%s" for an endpoint',
    async (endpoint) => {
      const error = await failure({ endpoint });
      expect([error.code, error.hint]).toEqual([
        'CONFIG_INVALID',
        expect.stringContaining('AWS_ENDPOINT_URL_S3'),
      ]);
    },
  );
});

/** All that a reporter could print of an error, its causes included. */
function everythingOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = Object.getOwnPropertyNames(error).map((name) =>
    String((error as unknown as Record<string, unknown>)[name]),
  );
  return [...own, error.cause === undefined ? '' : everythingOf(error.cause)].join('\n');
}

async function listen(listener: Server): Promise<{ port: number; close(): Promise<void> }> {
  const sockets = new Set<{ destroy(): unknown }>();
  listener.on('connection', (socket) => sockets.add(socket.on('error', () => {})));
  await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
  return {
    port: (listener.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        listener.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
