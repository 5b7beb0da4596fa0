/** What the project's file may decide, when it may have come with somebody else's repository. */
import { rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { generateKeys } from '../../src/archive/signature.ts';
import { useProject } from './loading.ts';

const { load, s3, refusal, project } = useProject();
const KEYS = { AWS_ACCESS_KEY_ID: 'x', AWS_SECRET_ACCESS_KEY: 'y' };
const KEYS_IN_FILE = 'AWS_ACCESS_KEY_ID=x\nAWS_SECRET_ACCESS_KEY=y\n';

describe('the real environment wins, under whichever name', () => {
  it.each([
    ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL', 'http://real:1', 'http://file:1', 'endpoint'],
    ['AWS_REGION', 'AWS_DEFAULT_REGION', 'real-1', 'file-1', 'region'],
    ['HTTPS_PROXY', 'https_proxy', 'http://real:1', 'http://file:1', 'proxy.https'],
    ['NO_PROXY', 'no_proxy', 'real', 'file', 'proxy.no'],
  ])('%s and %s', (one, other, real, file, field) => {
    // In the file beside its credentials, where it may say anything.
    for (const [inReal, inFile] of [
      [one, other],
      [other, one],
    ] as const) {
      expect(s3({ [inReal]: real }, `${inFile}=${file}\n${KEYS_IN_FILE}`)).toHaveProperty(field, real);
    }
    for (const env of [{}, { [other]: '' }])
      expect(s3(env, `${one}=${file}\n${KEYS_IN_FILE}`)).toHaveProperty(field, file);
    // Within one source the first name wins.
    expect(s3({ [one]: real, [other]: file })).toHaveProperty(field, real);
    expect(s3({}, `${other}=${file}\n${one}=${real}\n${KEYS_IN_FILE}`)).toHaveProperty(field, real);
  });

  it('AWS_IGNORE_CONFIGURED_ENDPOINT_URLS in the file is about the endpoints of the file', () => {
    const file = `AWS_IGNORE_CONFIGURED_ENDPOINT_URLS=true\nAWS_ENDPOINT_URL=http://file:1\n${KEYS_IN_FILE}`;
    expect(s3({ AWS_ENDPOINT_URL: 'http://real:1' }, file).endpoint).toBe('http://real:1');
    expect(s3({}, file).endpoint).toBeUndefined();
    const env = { AWS_IGNORE_CONFIGURED_ENDPOINT_URLS: 'true', AWS_ENDPOINT_URL: 'http://real:1' };
    expect(s3(env, `AWS_ENDPOINT_URL_S3=http://file:1\n${KEYS_IN_FILE}`).endpoint).toBeUndefined();
  });
});

describe('where signed requests go', () => {
  const ways = [
    ['AWS_ENDPOINT_URL', 'http://file:1'],
    ['AWS_ENDPOINT_URL_S3', 'http://file:1'],
    ['HTTPS_PROXY', 'http://file:1'],
    ['https_proxy', 'http://file:1'],
    ['AWS_CA_BUNDLE', 'ca.pem'],
  ] as const;

  it.each(ways)('%s of the file is refused with credentials from elsewhere', (name, value) => {
    const file = `# a comment\n${name}=${value}\n`;
    for (const env of [KEYS, { AWS_PROFILE: 'ci' }, {}] as Record<string, string>[]) {
      const error = refusal(env, file);
      expect(error.code).toBe('CONFIG_INVALID');
      expect(error.message).toBe(
        `.env.claude-sandbox line 2 sets ${name}, but credentials come from elsewhere`,
      );
      expect(error.hint).toContain('CACHE_TRUST_ENV_FILE=true');
    }
    // The file only names them: they are those of this machine.
    expect(refusal({}, `${file}AWS_PROFILE=admin\n`).message).toContain(name);
  });

  it.each(ways)('%s of the file is used with its own credentials, or when it is trusted', (name, value) => {
    expect(() => s3({}, `${name}=${value}\n${KEYS_IN_FILE}`)).not.toThrow();
    expect(() => s3({ ...KEYS, CACHE_TRUST_ENV_FILE: 'true' }, `${name}=${value}\n`)).not.toThrow();
  });

  it('the file cannot vouch for itself', () => {
    const file = 'CACHE_TRUST_ENV_FILE=true\nAWS_ENDPOINT_URL=http://file:1\n';
    expect(refusal(KEYS, file).message).toContain('.env.claude-sandbox line 2 sets AWS_ENDPOINT_URL');
    expect(load({}, 'CACHE_TRUST_ENV_FILE=true\n').warnings).toEqual([
      { message: expect.stringContaining('no effect'), hint: expect.any(String) },
    ]);
  });

  it('a bucket and a region of the file are used with any credentials', () => {
    expect(
      load({ ...KEYS, CACHE_S3_BUCKET: '' }, 'CACHE_S3_BUCKET=from-file\nAWS_REGION=eu-west-1\n').store,
    ).toMatchObject({ s3: { bucket: 'from-file', region: 'eu-west-1' } });
  });

  it('says nothing where there is no store to send anything to', () => {
    expect(load(KEYS, 'HTTPS_PROXY=http://file:1\n').store.type).toBe('off');
  });
});

describe('where signed entries go', () => {
  const { signingKey } = generateKeys();
  const bucket = { CACHE_S3_BUCKET: '' };

  it.each([
    ['CACHE_LOCAL_DIR', 'loot'],
    ['CACHE_S3_BUCKET', 'loot'],
  ])('%s of the file is refused with a signing key from elsewhere', (name, value) => {
    const env = { ...bucket, CACHE_SIGNING_KEY: signingKey };
    expect(refusal(env, `${name}=${value}\n`)).toMatchObject({
      code: 'CONFIG_INVALID',
      message: `.env.claude-sandbox line 1 sets ${name}, but CACHE_SIGNING_KEY comes from elsewhere`,
    });
    expect(() => load({ ...env, CACHE_TRUST_ENV_FILE: 'true' }, `${name}=${value}\n`)).not.toThrow();
    expect(() => load({ ...env, [name]: 'real' }, `${name}=${value}\n`)).not.toThrow();
  });

  it('so are a prefix and an endpoint', () => {
    const env = { CACHE_SIGNING_KEY: signingKey };
    expect(refusal(env, 'CACHE_S3_PREFIX=loot\n').message).toContain('CACHE_S3_PREFIX');
    expect(refusal(env, `${KEYS_IN_FILE}AWS_ENDPOINT_URL=http://file:1\n`).message).toContain('line 3');
  });

  it('a key that the file names counts as its own only within the project', () => {
    writeFileSync(join(project(), 'my.key'), signingKey);
    const file = 'CACHE_LOCAL_DIR=store\nCACHE_SIGNING_KEY=';
    expect(load({}, `${file}my.key\n`).signingKey).toBe(signingKey);
    expect(load({}, `${file}"${signingKey}"\n`).signingKey).toBe(signingKey);
    const outside = `${project()}.key`;
    writeFileSync(outside, signingKey);
    symlinkSync(outside, join(project(), 'link.key'));
    try {
      for (const path of [outside, 'link.key']) {
        const { message } = refusal(bucket, `${file}${path}\n`);
        expect(message).toContain('CACHE_SIGNING_KEY comes from elsewhere');
      }
    } finally {
      rmSync(outside);
    }
  });
});

describe('what child processes get', () => {
  const SECRETS = {
    AWS_ACCESS_KEY_ID: 'x',
    AWS_SECRET_ACCESS_KEY: 'x',
    AWS_SESSION_TOKEN: 'x',
    AWS_SECURITY_TOKEN: 'x',
    AWS_CONTAINER_AUTHORIZATION_TOKEN: 'x',
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: '/x',
    AWS_CONTAINER_CREDENTIALS_FULL_URI: 'http://x',
    AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: '/x',
    AWS_WEB_IDENTITY_TOKEN_FILE: '/x',
  };
  const OTHERS = { PATH: '/bin', AWS_REGION: 'eu-west-1', NPM_TOKEN: 'theirs' };
  const { signingKey } = generateKeys();

  it('is the real environment without what opens the store or signs for it', () => {
    const { env, withheld } = load({ ...OTHERS, ...SECRETS, CACHE_SIGNING_KEY: signingKey });
    expect(env).toEqual(OTHERS);
    expect(withheld).toEqual(Object.keys(SECRETS));
    expect(load(OTHERS).withheld).toEqual([]);
  });

  it('CACHE_INSTALL_CREDENTIALS gives the credentials back, never the signing key', () => {
    const given = { ...OTHERS, ...SECRETS, CACHE_INSTALL_CREDENTIALS: 'true' };
    const { env, withheld } = load({ ...given, CACHE_SIGNING_KEY: signingKey });
    expect(env).toEqual(given);
    expect(withheld).toEqual([]);
  });

  it('the file cannot give them away', () => {
    const file = 'CACHE_INSTALL_CREDENTIALS=true\n';
    expect(refusal({}, file).message).toContain('.env.claude-sandbox line 1 sets CACHE_INSTALL_CREDENTIALS');
    expect(load({ ...SECRETS, CACHE_TRUST_ENV_FILE: 'true' }, file).withheld).toEqual([]);
    expect(load({ CACHE_INSTALL_CREDENTIALS: 'false', ...SECRETS }, file).withheld).not.toEqual([]);
    expect(load(SECRETS, 'CACHE_INSTALL_CREDENTIALS=false\n').withheld).not.toEqual([]);
  });

  it('holds nothing of the file', () => {
    expect(load({ PATH: '/bin' }, `${KEYS_IN_FILE}BUNDLE_WITHOUT=test\n`).env).toEqual({ PATH: '/bin' });
  });
});
