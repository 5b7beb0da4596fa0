/** Broken set-ups: the doctor names each, its mend is typed, and then it is content. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { isRoot } from '../support/user.ts';
import { expectExit, makeNpmProject, tool, useSandbox, writeFiles } from './support.ts';

const sandbox = useSandbox();
const SECRET = 'canary/secret+0123456789';

interface Found {
  id: string;
  mark: 'ok' | 'warning' | 'failure';
  fact: string;
  mend?: string;
}

interface Broken {
  env?: Record<string, string | undefined>;
  file?: string;
  mode?: string;
  git?: boolean;
  /** Typed before. */
  typed?: string;
  /** For a mend that asks. */
  input?: string;
}

const NO_KEYS = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };

/** Made without a registry. */
const NPM_PROJECT = `mkdir folder && echo '{"name":"folder","version":"1.0.0"}' > folder/package.json
  echo '{"name":"a","dependencies":{"folder":"file:folder"}}' > package.json
  npm install --package-lock-only --offline --no-audit >/dev/null`;

const BROKEN: [what: string, broken: Broken, id: string, mark: Found['mark']][] = [
  ['a bad value in the environment', { env: { CACHE_TIMEOUT: '5m' } }, 'setting-cache-timeout', 'failure'],
  ['a bad value in the file', { file: '# x\nCACHE_TIMEOUT=5m\n' }, 'setting-cache-timeout', 'failure'],
  ['s3:// in the name', { env: { CACHE_S3_BUCKET: 's3://b-1/p/q/' } }, 'setting-cache-s3-bucket', 'failure'],
  [
    's3:// in the name in the file',
    { env: { CACHE_S3_BUCKET: undefined }, file: 'CACHE_S3_BUCKET=s3://b-1/p\n' },
    'setting-cache-s3-bucket',
    'failure',
  ],
  [
    'half a pair in the file',
    { env: NO_KEYS, file: 'AWS_ACCESS_KEY_ID=$ID\n', mode: '600', input: '$SECRET\n' },
    'setting-aws-access-key-id',
    'failure',
  ],
  ['a misspelt name', { env: { CAHCE_READONLY: 'true' } }, 'unknown-cahce-readonly', 'warning'],
  ['a misspelt name in the file', { file: '\nCACHE_REDONLY=1\n' }, 'unknown-cache-redonly', 'warning'],
  ['no store', { env: { CACHE_S3_BUCKET: undefined }, input: 'b-1\n' }, 'store-missing', 'failure'],
  [
    'a file that others may read',
    { file: `AWS_SECRET_ACCESS_KEY=${SECRET}\nAWS_ACCESS_KEY_ID=x\n`, mode: '644' },
    'env-file-mode',
    'warning',
  ],
  ['a file that git does not ignore', { file: 'CACHE_DEBUG=0\n', git: true }, 'env-file-git', 'warning'],
  ['zstd on a Node without it', { env: { CACHE_COMPRESSION: 'zstd' } }, 'zstd', 'failure'],
  ['a umask of nothing', { typed: 'umask 0700' }, 'user', 'failure'],
  [
    'half a pair in the environment',
    { env: { AWS_SECRET_ACCESS_KEY: undefined }, input: '$SECRET\n' },
    'half-a-pair',
    'failure',
  ],
  [
    'a dead endpoint',
    { env: { AWS_ENDPOINT_URL_S3: 'http://127.0.0.1:1' }, input: '$ENDPOINT\n' },
    'connection-store-unreachable',
    'failure',
  ],
  ['nothing stored yet', { typed: NPM_PROJECT }, 'npm-entry', 'warning'],
  [
    'a package gone',
    { typed: `${NPM_PROJECT} && sandbox-cache ensure npm >/dev/null && rm -r node_modules/folder` },
    'npm-tree',
    'warning',
  ],
  ['a project that its owner may not write to', { typed: 'chmod 555 .' }, 'disk', 'failure'],
  [
    'a directory of the store that cannot be made',
    { env: { CACHE_LOCAL_DIR: '/dev/null/x' } },
    'local-dir',
    'failure',
  ],
  [
    'keys of two pairs',
    {
      typed: `sandbox-cache keygen a >/dev/null && sandbox-cache keygen b >/dev/null
        export CACHE_SIGNING_KEY=a.key CACHE_VERIFY_KEY=b.pub`,
    },
    'signing-keys',
    'failure',
  ],
  [
    'a wrong verify key',
    {
      typed: `${NPM_PROJECT} && sandbox-cache keygen a >/dev/null && sandbox-cache keygen b >/dev/null
        CACHE_SIGNING_KEY=a.key CACHE_VERIFY_KEY=a.pub sandbox-cache ensure npm >/dev/null
        export CACHE_VERIFY_KEY=b.pub`,
      input: 'a.pub\n',
    },
    'npm-signature',
    'failure',
  ],
];

const TEMPORARY = { AWS_CREDENTIAL_EXPIRATION: new Date(Date.now() + 5 * 60_000).toISOString() };
BROKEN.push(
  [
    'no such bucket',
    {
      env: { CACHE_S3_BUCKET: 'not-there' },
      // Nobody is there to be asked.
      typed: 'sandbox-cache() { command sandbox-cache "$@" $([ "$1" != setup ] || echo --yes); }',
    },
    'connection-store-no-bucket',
    'failure',
  ],
  ['credentials that end soon', { env: TEMPORARY, input: '$ID\n$SECRET\n\n' }, 'expiry', 'warning'],
);

/** Root may write where no mode allows it. */
const cases = BROKEN.filter(
  ([, , id]) => !(id === 'zstd' && 'zstd' in process.versions) && !(id === 'disk' && isRoot()),
);

it.each(cases)('%s: named, and the mend works', async (_, broken, id, mark) => {
  const { env, file, mode = '644', git = false, typed = ':', input } = broken;
  if (git) await tool('git', ['init', '-q', sandbox.project]);
  if (file !== undefined) writeFiles(sandbox.project, { '.env.claude-sandbox': filled(file) });
  sandbox.server.createBucket('b-1');
  const script = `
    [ ! -f .env.claude-sandbox ] || chmod ${mode} .env.claude-sandbox
    { ${typed}
    } >/dev/null
    BEFORE=$(sandbox-cache doctor --json </dev/null); CODE=$?
    MEND=$("${process.execPath}" -p 'JSON.parse(process.argv[1]).findings.find(({ id }) => id === "${id}").mend' "$BEFORE")
    eval "$MEND" >/dev/null
    AFTER=$(sandbox-cache doctor --json </dev/null)
    printf '%s\\0%s\\0%s' "$CODE" "$BEFORE" "$AFTER"`;
  const result = expectExit(
    await sandbox.script(script, {
      ...(env === undefined ? {} : { env }),
      ...(input === undefined ? {} : { input: filled(input) }),
    }),
    0,
  );
  const [code, before, after] = result.stdout.split('\0');
  const [named] = found(before!, id);
  expect(named).toMatchObject({ mark });
  expect(Number(code)).toBe(mark === 'failure' ? 3 : 0);
  expect(found(after!, id).filter((finding) => finding.mark !== 'ok')).toEqual([]);
  expect(JSON.parse(after!)).toMatchObject({ exitCode: 0 });
  for (const secret of [SECRET, sandbox.server.credentials.secretAccessKey])
    expect(result.stdout + result.stderr).not.toContain(secret);
});

/** Values that only the server knows. */
function filled(text: string): string {
  const { accessKeyId, secretAccessKey } = sandbox.server.credentials;
  return text
    .replace('$ENDPOINT', sandbox.server.endpoint)
    .replace('$ID', accessKeyId)
    .replace('$SECRET', secretAccessKey);
}

function found(document: string, id: string): Found[] {
  return (JSON.parse(document) as { findings: Found[] }).findings.filter((finding) => finding.id === id);
}

it('a project whose gems lie elsewhere, with a lockfile of a Mac: both lines mend it', async () => {
  writeFiles(sandbox.project, {
    Gemfile: 'source "https://gems.invalid"\n',
    'Gemfile.lock': 'GEM\n  specs:\n\nPLATFORMS\n  arm64-darwin\n\nDEPENDENCIES\n',
  });
  const document = async (env: Record<string, string>): Promise<Found[]> => {
    const { stdout } = await sandbox.run(['doctor', '--json'], { env });
    return (JSON.parse(stdout) as { findings: Found[] }).findings;
  };
  const before = await document({});
  const mendOf = (id: string): string | undefined => before.find((finding) => finding.id === id)?.mend;
  expect(mendOf('bundle-elsewhere')).toBe('export BUNDLE_PATH=vendor/bundle');
  expect(mendOf('bundle-lockfile-lacks')).toMatch(/^bundle lock --add-platform \S+-linux/);
  const after = await document({ BUNDLE_PATH: 'vendor/bundle' });
  expect(after.map(({ id }) => id)).not.toContain('bundle-elsewhere');
});

it('does not ask a store again that has refused', async () => {
  makeNpmProject(sandbox.project);
  const env = { AWS_SECRET_ACCESS_KEY: 'wrong' };
  const result = expectExit(await sandbox.run(['doctor'], { env }), 3);
  expect(result.stdout).toContain('node_modules is whole');
  expect(new Set(sandbox.server.requests.map(({ key }) => key)).size).toBe(1);
});

describe('whose the credentials are', () => {
  const ask = async (answer: string | undefined, env = {}): Promise<{ text: string; asked: string[] }> => {
    const asked: string[] = [];
    const sts = createServer(({ url, headers }, response) => {
      asked.push(`${url} ${headers.authorization} ${headers['x-amz-security-token']}`);
      if (answer !== undefined) response.end(`<R><Arn>${answer}</Arn></R>`);
    });
    await new Promise<void>((resolve) => sts.listen(0, '127.0.0.1', resolve));
    const AWS_ENDPOINT_URL_STS = `http://127.0.0.1:${(sts.address() as AddressInfo).port}`;
    try {
      const result = await sandbox.run(['doctor'], { env: { AWS_ENDPOINT_URL_STS, ...env } });
      return { text: expectExit(result, 0).stdout, asked };
    } finally {
      sts.closeAllConnections();
      sts.close();
    }
  };

  it('is asked of STS, with a signature', async () => {
    const { text, asked } = await ask('arn:aws:iam::123456789012:user/ci');
    expect(text).toContain('They belong to arn:aws:iam::123456789012:user/ci');
    expect(asked).toHaveLength(1);
    expect(asked[0]).toMatch(/^\/\?Action=GetCallerIdentity&Version=2011-06-15 AWS4-HMAC-SHA256 .*\/sts\//);
  });

  it.each([
    ['is silent', undefined],
    ['says what is no ARN', '\u001b[2Jnobody'],
  ])('is left out where STS %s', async (_, answer) => {
    const { text, asked } = await ask(answer);
    expect(asked).toHaveLength(1);
    expect(text).not.toContain('They belong');
  });

  it('is not asked at an address that a checkout brings along', async () => {
    const { asked } = await ask('arn:aws:iam::1:user/a', { AWS_ENDPOINT_URL_STS: undefined });
    expect(asked).toEqual([]);
  });
});

it('names a program that is missing, and looks at the rest all the same', async () => {
  writeFiles(sandbox.project, {
    Gemfile: '',
    'Gemfile.lock': 'GEM\n  specs:\n\nPLATFORMS\n  ruby\n\nDEPENDENCIES\n',
  });
  const result = await sandbox.run(['doctor'], { env: { PATH: '/nowhere', BUNDLE_PATH: 'vendor/bundle' } });
  expectExit(result, 3);
  expect(result.stdout).toMatch(/✗ bundle: There is no program ruby/);
  expect(result.stdout).toMatch(/\nMachine\n {2}✓ Node /);
});

it('one bad value does not hide the others', async () => {
  writeFiles(sandbox.project, { '.env.claude-sandbox': 'CACHE_WORKERS=many\nCACHE_NONSENSE=1\n' });
  const env = { CACHE_TIMEOUT: '5m', AWS_REGION: 'us east' };
  const result = expectExit(await sandbox.run(['doctor'], { env }), 3);
  for (const text of ['CACHE_TIMEOUT is "5m"', 'AWS_REGION is "us east"', 'CACHE_WORKERS is "many"'])
    expect(result.stdout).toContain(`  ✗ ${text}`);
  expect(result.stdout).toContain('  ! CACHE_NONSENSE (.env.claude-sandbox line 2) is no setting');
  expect(result.stdout).toMatch(/\nMachine\n {2}✓ Node /);
});

it('a file that is no env file hides nothing else, and signs are ASCII where a locale says so', async () => {
  writeFiles(sandbox.project, { '.env.claude-sandbox': 'a b c\n' });
  const result = expectExit(await sandbox.run(['doctor'], { env: { LC_ALL: 'C' } }), 3);
  expect(result.stdout).toMatch(/ {2}x \.env\.claude-sandbox line 1 .*\n {6}\$\{EDITOR:-vi\} /);
  expect(result.stdout).toContain(`  + CACHE_S3_BUCKET is ${sandbox.bucket} (environment)`);
  expect(result.stdout).toMatch(/\n {2}\+ Node /);
});

describe('config', () => {
  it('shows each setting with its source, and no secret', async () => {
    writeFiles(sandbox.folder, { aws: '[default]\nregion = eu-west-3\n' });
    writeFiles(sandbox.project, { '.env.claude-sandbox': '#\nCACHE_TIMEOUT=60\nCACHE_REDONLY=1\n' });
    const env = {
      AWS_SECRET_ACCESS_KEY: SECRET,
      AWS_REGION: undefined,
      AWS_CONFIG_FILE: `${sandbox.folder}/aws`,
      CACHE_SIGNING_KEY: undefined,
    };
    const result = expectExit(await sandbox.run(['config', '--json', '-v'], { env }), 0);
    const { settings, unknown } = JSON.parse(result.stdout) as {
      settings: Record<string, unknown>[];
      unknown: unknown[];
    };
    for (const row of [
      { name: 'CACHE_TIMEOUT', value: '60', source: 'file', line: 2 },
      { name: 'CACHE_STALL_TIMEOUT', value: '30', source: 'default' },
      { name: 'CACHE_S3_BUCKET', value: sandbox.bucket, source: 'environment' },
      { name: 'CACHE_VERBOSE', value: 'true', source: 'flag' },
      { name: 'AWS_REGION', value: 'eu-west-3', source: 'profile' },
      { name: 'AWS_SECRET_ACCESS_KEY', value: '****', source: 'environment' },
    ])
      expect(settings).toContainEqual(row);
    expect(unknown).toEqual([{ name: 'CACHE_REDONLY', from: 'file', meant: 'CACHE_READONLY' }]);
    expect(result.stdout).not.toContain(SECRET);
    expect(sandbox.server.requests).toHaveLength(0);
  });

  it('shows the others where one cannot be used: exit 2, as every command', async () => {
    const result = expectExit(await sandbox.run(['config'], { env: { CACHE_TIMEOUT: '5m' } }), 2);
    expect(result.stdout).toMatch(/^CACHE_TIMEOUT +5m +environment \(cannot be used\)$/m);
    expect(result.stdout).toMatch(/^CACHE_READONLY +false +default$/m);
  });
});
