import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadConfig } from '../../src/config/config.ts';
import { parseDuration, parseSize } from '../../src/config/values.ts';
import { useProject } from './loading.ts';

const { load, s3, refusal, project } = useProject();

describe('defaults', () => {
  it('has no store and the documented values when nothing is set', () => {
    expect(load()).toMatchObject({
      projectDir: project(),
      store: { type: 'off' },
      prefix: 'claude-sandbox-cache',
      compression: 'gzip',
      level: undefined,
      verbose: false,
      timeoutMs: 300_000,
      stallTimeoutMs: 30_000,
      keyRuntime: true,
      keySalt: undefined,
      readonly: false,
      workers: undefined,
      warnings: [],
    });
  });

  it('takes an empty variable as unset', () => {
    expect(load({ CACHE_S3_BUCKET: '', CACHE_TIMEOUT: '', CACHE_COMPRESSION: '' })).toMatchObject({
      store: { type: 'off' },
      timeoutMs: 300_000,
      compression: 'gzip',
    });
  });
});

describe('stores', () => {
  it('is S3 with a bucket, local with a directory, tiered with both', () => {
    expect(load({ CACHE_S3_BUCKET: 'my-bucket' }).store.type).toBe('s3');
    expect(load({ CACHE_LOCAL_DIR: 'cache' }).store).toEqual({
      type: 'local',
      local: { dir: join(project(), 'cache'), maxSizeBytes: 10e9 },
    });
    expect(
      load({ CACHE_S3_BUCKET: 'my-bucket', CACHE_LOCAL_DIR: '/c', CACHE_LOCAL_MAX_SIZE: '1GB' }).store,
    ).toMatchObject({
      type: 'tiered',
      local: { dir: '/c', maxSizeBytes: 1e9 },
    });
  });

  it('takes the region from AWS_REGION, then AWS_DEFAULT_REGION', () => {
    expect(s3({}).region).toBeUndefined();
    expect(s3({ AWS_DEFAULT_REGION: 'eu-west-1' }).region).toBe('eu-west-1');
    expect(s3({ AWS_DEFAULT_REGION: 'eu-west-1', AWS_REGION: 'eu-central-1' }).region).toBe('eu-central-1');
  });

  it('prefers the endpoint for S3 alone', () => {
    expect(s3({ AWS_ENDPOINT_URL: 'http://a:1', AWS_ENDPOINT_URL_S3: 'http://b:2' }).endpoint).toBe(
      'http://b:2',
    );
    expect(s3({ AWS_ENDPOINT_URL: 'http://a:1' }).endpoint).toBe('http://a:1');
  });

  it('knows which spelling of a variable was set', () => {
    expect(s3({}).names).toEqual({ endpoint: undefined, region: undefined, proxy: undefined });
    expect(
      s3({ AWS_ENDPOINT_URL: 'http://a:1', AWS_DEFAULT_REGION: 'eu-west-1', https_proxy: 'p:1' }).names,
    ).toEqual({ endpoint: 'AWS_ENDPOINT_URL', region: 'AWS_DEFAULT_REGION', proxy: 'https_proxy' });
    expect(s3({ AWS_ENDPOINT_URL: 'http://a:1', AWS_ENDPOINT_URL_S3: 'http://b:2' }).names).toMatchObject({
      endpoint: 'AWS_ENDPOINT_URL_S3',
    });
  });
});

describe('.env.claude-sandbox', () => {
  it('is read, with comments, quotes and export; the real environment wins', () => {
    const file =
      '# a comment\nexport CACHE_S3_BUCKET="from-file"\nCACHE_S3_PREFIX=\n# CACHE_VERBOSE=true\nCACHE_KEY_SALT=\'a # b\'\n';
    expect(load({}, file)).toMatchObject({
      store: { s3: { bucket: 'from-file' } },
      keySalt: 'a # b',
      verbose: false,
    });
    expect(load({ CACHE_S3_BUCKET: 'real-one' }, file).store).toMatchObject({ s3: { bucket: 'real-one' } });
  });

  it('gives credentials as one set or not at all', () => {
    const file = 'AWS_ACCESS_KEY_ID=from-file\nAWS_SECRET_ACCESS_KEY=hidden\nAWS_SESSION_TOKEN=token\n';
    expect(s3({}, file).credentials).toEqual({
      accessKeyId: 'from-file',
      secretAccessKey: 'hidden',
      sessionToken: 'token',
    });
    expect(s3({ AWS_ACCESS_KEY_ID: 'real' }, file).credentials).toBeUndefined();
    expect(s3({ AWS_PROFILE: 'real' }, file).credentials).toBeUndefined();
  });

  it('refuses half a set of credentials, naming the missing half', () => {
    expect(refusal({}, 'AWS_ACCESS_KEY_ID=x\n').message).toContain('AWS_SECRET_ACCESS_KEY is missing');
  });

  it('notes half a set in the environment, where a role may still do, and the profile', () => {
    const file = 'AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=y\n';
    const [id, secret] = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
    expect(s3({ AWS_ACCESS_KEY_ID: 'x' }, file).halfSet).toEqual({ given: id, missing: secret });
    expect(s3({ AWS_SECRET_ACCESS_KEY: 'x' }).halfSet).toEqual({ given: secret, missing: id });
    expect(s3({ AWS_SESSION_TOKEN: 'x' }).halfSet).toEqual({
      given: 'AWS_SESSION_TOKEN',
      missing: `${id} and ${secret}`,
    });
    expect(s3({ AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'y' }).halfSet).toBeUndefined();
    expect(s3({}, file)).toMatchObject({ halfSet: undefined, profile: undefined });
    expect(s3({ AWS_PROFILE: 'ci', AWS_ACCESS_KEY_ID: 'x' }, 'AWS_PROFILE=dev\n')).toMatchObject({
      halfSet: undefined,
      profile: 'ci',
    });
  });

  it('warns when others may read a secret, and only then', () => {
    const secret = 'AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=y\n';
    expect(load({}, secret, 0o644).warnings).toEqual([
      { message: expect.stringContaining('.env.claude-sandbox'), hint: expect.stringContaining('chmod 600') },
    ]);
    expect(load({}, secret, 0o600).warnings).toEqual([]);
    expect(load({}, 'CACHE_S3_BUCKET=public\n', 0o644).warnings).toEqual([]);
    // To one group, or to be written alone: others may get at it as well.
    for (const mode of [0o640, 0o604, 0o620, 0o602]) expect(load({}, secret, mode).warnings).toHaveLength(1);
    for (const mode of [0o600, 0o400, 0o700]) expect(load({}, secret, mode).warnings).toEqual([]);
  });
});

describe('values that do not parse', () => {
  const cases: [string, string][] = [
    ['CACHE_COMPRESSION', 'lz4'],
    ['CACHE_COMPRESSION_LEVEL', '10'],
    ['CACHE_VERBOSE', 'perhaps'],
    ['CACHE_TIMEOUT', 'soon'],
    ['CACHE_TIMEOUT', '0'],
    ['CACHE_TIMEOUT', '1e3'],
    ['CACHE_STALL_TIMEOUT', '-1'],
    ['CACHE_KEY_RUNTIME', '2'],
    ['CACHE_DELTA', 'some'],
    ['CACHE_FALLBACK', 'some'],
    ['CACHE_KEEP_TIMES', 'some'],
    ['CACHE_KEY_SALT', 'a\nb'],
    ['CACHE_READONLY', 'y'],
    ['CACHE_LOCAL_MAX_SIZE', 'big'],
    ['CACHE_DEBUG', 'loud'],
    ['CACHE_MAX_BYTES', 'all'],
    ['CACHE_MAX_FILES', '-1'],
    ['CACHE_SIGNING_KEY', '/no/such/file'],
    ['CACHE_INSTALL_CREDENTIALS', 'maybe'],
    ['CACHE_TRUST_ENV_FILE', 'maybe'],
    ['CACHE_WORKERS', '0'],
    ['CACHE_WORKERS', '1.5'],
    ['CACHE_S3_SSE', 'aes256'],
    ['CACHE_S3_ACCELERATE', 'maybe'],
    ['CACHE_S3_FORCE_PATH_STYLE', 'auto'],
    ['CACHE_S3_PREFIX', 'a//b'],
    ['CACHE_S3_PREFIX', '../b'],
    ['CACHE_S3_BUCKET', 's3://my-bucket'],
    ['AWS_ENDPOINT_URL', 'localhost:9000'],
    ['AWS_ENDPOINT_URL_S3', 'https://'],
    ['CACHE_MAX_RATIO', 'none'],
    ['CACHE_TICKET', 't1.nothing'],
    ['CACHE_VERIFY_KEY', '/no/such/file'],
  ];
  it.each(cases)('refuses %s=%j by name, with what it takes', (name, value) => {
    const error = refusal({ CACHE_LOCAL_DIR: '/c', [name]: value });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(name);
    expect(error.hint).toBeTruthy();
  });

  const ours = cases.filter(([name]) => name.startsWith('CACHE_'));
  it.each(ours)('refuses %s=%j where caching is off as well', (name, value) => {
    const error = refusal({ CACHE_S3_BUCKET: '', [name]: value });
    expect(error.code).toBe('CONFIG_INVALID');
    expect(error.message).toContain(name);
  });

  it('refuses CACHE_VERBOSE beside --verbose too', () => {
    expect(() => loadConfig({ project: project(), verbose: true }, { CACHE_VERBOSE: 'perhaps' })).toThrow(
      'CACHE_VERBOSE',
    );
    expect(loadConfig({ project: project(), verbose: true }, {}).verbose).toBe(true);
  });

  it('has a case for every variable that is not free text', () => {
    const example = readFileSync(new URL('../../.env.claude-sandbox.example', import.meta.url), 'utf8');
    const named = new Set(example.match(/CACHE_[A-Z0-9_]+/g));
    const free = ['CACHE_LOCAL_DIR', 'CACHE_S3_KMS_KEY_ID'];
    expect([...named].filter((name) => !free.includes(name) && !cases.some(([one]) => one === name))).toEqual(
      [],
    );
  });

  it('never repeats the value of a key variable', () => {
    expect(refusal({ CACHE_SIGNING_KEY: 'c2VjcmV0LWtleQ' }).message).not.toContain('c2VjcmV0LWtleQ');
  });
});

describe('limits of variables', () => {
  const tooLarge = `${2 ** 53}`;
  it.each([
    ['CACHE_COMPRESSION_LEVEL', ['1', '9'], ['0', '10']],
    ['CACHE_TIMEOUT', ['0.001', '86400'], ['0', '86400.001', '-1', '1e3']],
    ['CACHE_STALL_TIMEOUT', ['0.001', '86400'], ['0', '86401']],
    ['CACHE_WORKERS', ['1', '64'], ['0', '65', '1.5']],
    ['CACHE_MAX_FILES', ['1', '1000000000'], ['0', '1000000001']],
    ['CACHE_MAX_RATIO', ['1', '100000'], ['0', '100001']],
    ['CACHE_MAX_BYTES', ['1', '64GB', `${2 ** 53 - 1}`], ['0', '-1', '0.1', tooLarge, '9'.repeat(400)]],
    ['CACHE_LOCAL_MAX_SIZE', ['1', '10TB'], ['0', tooLarge]],
  ])('%s takes %j and not %j', (name, good, bad) => {
    for (const value of good) expect(() => load({ [name]: value }), value).not.toThrow();
    for (const value of bad)
      expect(refusal({ [name]: value }), value).toMatchObject({ code: 'CONFIG_INVALID' });
  });

  it('zstd has levels of its own', () => {
    const zstd = { CACHE_COMPRESSION: 'zstd' };
    expect(load({ ...zstd, CACHE_COMPRESSION_LEVEL: '19' }).level).toBe(19);
    expect(refusal({ ...zstd, CACHE_COMPRESSION_LEVEL: '20' }).message).toContain('CACHE_COMPRESSION_LEVEL');
  });
});

describe('values with more than one form', () => {
  it.each([
    ['true', 'gzip'],
    ['1', 'gzip'],
    ['FALSE', 'none'],
    ['zstd', 'zstd'],
    ['none', 'none'],
  ])('CACHE_COMPRESSION=%s is %s', (value, compression) => {
    expect(load({ CACHE_COMPRESSION: value }).compression).toBe(compression);
  });

  it.each([
    ['/prod/claude-sandbox-cache/', 'prod/claude-sandbox-cache'],
    ['team-platform/cache', 'team-platform/cache'],
  ])('CACHE_S3_PREFIX=%s is %s', (value, prefix) => {
    expect(load({ CACHE_S3_PREFIX: value }).prefix).toBe(prefix);
  });

  it('reads keys as PEM, as PEM with written-out line breaks, and from a file', () => {
    const pem = '-----BEGIN PUBLIC KEY-----\nabc\n-----END PUBLIC KEY-----\n';
    writeFileSync(join(project(), 'my.pub'), pem);
    for (const value of [pem, pem.replaceAll('\n', '\\n'), 'my.pub']) {
      expect(load({ CACHE_VERIFY_KEY: value }).verifyKey).toBe(pem);
    }
  });

  it.each([
    ['10GB', 10e9],
    ['1GiB', 1024 ** 3],
    ['500 mb', 5e8],
    ['1.5k', 1500],
    ['42', 42],
    ['1 parsec', undefined],
    ['', undefined],
  ])('size %j is %s bytes', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  it.each([
    ['30d', 30 * 86_400_000],
    ['12h', 12 * 3_600_000],
    ['1.5m', 90_000],
    ['2w', 14 * 86_400_000],
    ['30', undefined],
    ['d', undefined],
  ])('duration %j is %s ms', (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });
});
