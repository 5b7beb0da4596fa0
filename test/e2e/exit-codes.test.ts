/** Every exit code, and every way the store fails, as one sentence on stderr with its code. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { freePorts } from '../support/ports.ts';
import { startS3Server } from '../support/s3-server.ts';
import {
  type CliResult,
  DEPS,
  expectExit,
  makeNpmProject,
  makeProject,
  treeOf,
  useSandbox,
  wipe,
  writeFiles,
} from './support.ts';

const sandbox = useSandbox();
type Env = Record<string, string | undefined>;

/** One line, with what to do and the code, and nothing from anybody else. */
function expectError(result: CliResult, code: string, text: RegExp): void {
  expect(result.stderr).toMatch(new RegExp(`^\\[cache\\] error: [^\\n]+ \\[${code}\\]\\n$`));
  expect(result.stderr).toMatch(text);
}

describe('the store fails: exit 3, each with its own sentence, and what was on disk stays', () => {
  async function expectFailure(env: Env, code: string, text: RegExp): Promise<CliResult> {
    makeProject(sandbox.project);
    const before = treeOf(join(sandbox.project, 'deps'));
    const restored = expectExit(await sandbox.run(['restore', ...DEPS], { env }), 3);
    expectError(restored, code, text);
    expect(restored.stdout).toBe('');
    const saved = expectExit(await sandbox.run(['save', ...DEPS], { env }), 3);
    expectError(saved, code, text);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    return restored;
  }

  it('no credentials: within 5 s, and says which sources were tried', async () => {
    // An instance role's service that takes the connection and never answers: the slowest way to have none.
    const silent = createServer(() => {});
    await new Promise<void>((resolve) => silent.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(silent.address() as AddressInfo).port}`;
    const env = {
      AWS_ACCESS_KEY_ID: undefined,
      AWS_SECRET_ACCESS_KEY: undefined,
      AWS_EC2_METADATA_SERVICE_ENDPOINT: endpoint,
    };
    try {
      const { ms } = await expectFailure(
        env,
        'STORE_NO_CREDENTIALS',
        /tried the environment .*profile.*SSO.*web identity.*container.*instance role/,
      );
      expect(ms).toBeLessThan(5000);
    } finally {
      silent.closeAllConnections();
      silent.close();
    }
  });

  const nowhere = { AWS_EC2_METADATA_DISABLED: 'true' };
  it('half a set of keys: names the half that is missing', () =>
    expectFailure(
      { ...nowhere, AWS_SECRET_ACCESS_KEY: undefined },
      'STORE_NO_CREDENTIALS',
      /AWS_ACCESS_KEY_ID without AWS_SECRET_ACCESS_KEY.*Set AWS_SECRET_ACCESS_KEY too, or unset AWS_ACCESS_KEY_ID\./,
    ));

  it('a profile that there is not: names it and its variable', () =>
    expectFailure(
      { ...nowhere, AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined, AWS_PROFILE: 'nope' },
      'STORE_NO_CREDENTIALS',
      /the AWS profile "nope".*AWS_PROFILE is nope: check/,
    ));

  it('a wrong secret', () =>
    expectFailure(
      { AWS_SECRET_ACCESS_KEY: 'wrong' },
      'STORE_BAD_CREDENTIALS',
      /secret access key does not fit/,
    ));

  it('an unknown key id', () =>
    expectFailure({ AWS_ACCESS_KEY_ID: 'AKIAUNKNOWN' }, 'STORE_BAD_CREDENTIALS', /key id is not known/));

  it('no such bucket', () =>
    expectFailure(
      { CACHE_S3_BUCKET: 'no-such-bucket' },
      'STORE_NO_BUCKET',
      /Bucket no-such-bucket does not exist/,
    ));

  it('nobody listens', async () => {
    const [port] = await freePorts(1);
    const env = { AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` };
    await expectFailure(
      env,
      'STORE_UNREACHABLE',
      new RegExp(`No connection to http://127\\.0\\.0\\.1:${port}`),
    );
  });

  it.each(['AWS_ENDPOINT_URL', 'AWS_ENDPOINT_URL_S3'])('the hint names %s, which was set', async (name) => {
    const [port] = await freePorts(1);
    const env = { AWS_ENDPOINT_URL_S3: undefined, [name]: `http://127.0.0.1:${port}` };
    await expectFailure(env, 'STORE_UNREACHABLE', new RegExp(`that ${name} is right`));
  });

  it('no such host', () =>
    expectFailure(
      { AWS_ENDPOINT_URL_S3: 'http://no-such-host.invalid' },
      'STORE_UNREACHABLE',
      /host name of http:\/\/no-such-host\.invalid does not resolve/,
    ));

  it.each([
    [200, 'text/html', '<html><body>Welcome</body></html>'],
    [404, 'text/html', '<html><body>404</body></html>'],
    [200, 'application/json', '{}'],
    [302, 'text/html', ''],
  ])('a web server that is not S3: %i %s', async (status, type, body) => {
    const web = createServer((request, response) => {
      request.resume();
      response.writeHead(status, { 'content-type': type, location: '/login' }).end(body);
    });
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const endpoint = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
    try {
      await expectFailure({ AWS_ENDPOINT_URL_S3: endpoint }, 'STORE_NOT_S3', /is not an S3 service/);
    } finally {
      web.closeAllConnections();
      web.close();
    }
  });

  it('a certificate that nobody vouches for, and no TLS at all', async () => {
    const tls = await startS3Server({ buckets: [sandbox.bucket], tls: true });
    try {
      await expectFailure({ AWS_ENDPOINT_URL_S3: tls.endpoint }, 'STORE_TLS', /is not trusted/);
    } finally {
      await tls.close();
    }
    const plain = { AWS_ENDPOINT_URL_S3: sandbox.server.endpoint.replace('http:', 'https:') };
    await expectFailure(plain, 'STORE_TLS', /No TLS connection/);
  });

  it('access denied: names the action and the resource', async () => {
    const accessKeyId = 'AKIADENIED0000000000';
    const secretAccessKey = 'denied';
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    wipe(sandbox.project, 'deps');
    sandbox.server.addUser({ accessKeyId, secretAccessKey, deny: (operation) => operation === 'GetObject' });
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    await expectFailure(env, 'STORE_ACCESS_DENIED', /s3:GetObject on arn:aws:s3:::/);
  });

  it('no right at all: a miss, which says what to allow, and a save that fails', async () => {
    const accessKeyId = 'AKIANOTHING000000000';
    const secretAccessKey = 'nothing';
    sandbox.server.addUser({ accessKeyId, secretAccessKey, deny: () => true });
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey };
    makeProject(sandbox.project);
    const restored = expectExit(await sandbox.run(['restore', '--fallback', ...DEPS], { env }), 1);
    expect(restored.stderr).toMatch(/^\[cache\] warning: Access denied: .* Allow s3:ListBucket on [^\n]*\n$/);
    const saved = expectExit(await sandbox.run(['save', ...DEPS], { env }), 3);
    expect(saved.stderr).toMatch(/^\[cache\] error: .*s3:PutObject .*\[STORE_ACCESS_DENIED\]$/m);
  });
});

describe('usage: exit 2, and says what is wrong and what it takes', () => {
  it.each([
    [['nonsense'], /unknown command 'nonsense'/],
    [['help', 'nonsense'], /unknown command 'nonsense'/],
    [['restore', '--nonsense'], /unknown option '--nonsense'/],
    [['ensure', '--', 'make'], /install command goes with the name of one recipe\..*ensure npm -- make/],
    [['ensure', 'bundle', 'npm', '--', 'make'], /install command goes with the name of one recipe/],
    [['restore', 'bundel'], /There is no recipe "bundel"\. Did you mean bundle\?/],
    [['restore', 'pip'], /There is no recipe "pip".*--lockfile <file> --path <dir>/],
    [['restore', 'pip', '--lockfile', 'a'], /names no directory.*--path/],
    [['restore', '--lockfile', 'a', '--path', 'b'], /go with the name of one recipe/],
    [['restore', 'pip', '--lockfile', 'a', '--path', '../b'], /"\.\.\/b" is outside the project/],
    [['restore', 'pip', '--lockfile', 'a', '--path', '.'], /is the project itself/],
    [['prune'], /prune needs --older-than, --keep or --max-size/],
    [['prune', '--older-than', 'long'], /It takes a number and a unit: 30d/],
    [['prune', '--keep', '-1'], /It takes a whole number/],
    [['prune', '--max-size', 'big'], /It takes a size/],
    [['key', 'deps', '--hash', 'short'], /It takes 16 hex digits/],
    [['key', 'npm', '--hash', '0123456789abcdef', '--explain'], /--hash and --explain exclude each other/],
    [
      ['key', 'pip', '--hash', '0123456789abcdef', '--lockfile', 'a', '--path', 'b'],
      /--hash and --lockfile exclude each other/,
    ],
    [['key', '--explain', '--url'], /--url and --explain exclude each other/],
    [['list', 'bundel'], /There is no recipe "bundel"\. Did you mean bundle\?/],
    [['list', 'npm', 'pip'], /There is no recipe "pip"\. Known are bundle, npm\./],
    [['inspect', 'bundel'], /There is no recipe "bundel"\. Did you mean bundle\?/],
    [['inspect', 'what'], /There is no recipe "what"\. Known are bundle, npm\./],
    [['inspect', 'what.tar.gz'], /what\.tar\.gz is not the key of an entry/],
    [
      ['key', 'deps', '--hash', 'xyz'],
      /--hash is "xyz"\. It takes 16 hex digits\. sandbox-cache key --help shows what it takes/,
    ],
    [['list', '--project'], /--project needs a value: --project <dir>/],
    [['inspect', 'a', 'b'], /inspect takes at most 1, not 2 arguments/],
    [['-C', 'nowhere', 'restore', 'npm'], /\/nowhere is not a directory/],
  ] as const)('%j', async (args, text) => {
    const result = expectExit(await sandbox.run(args), 2);
    expect(result.stderr).toMatch(text);
    expect(result.stderr).toMatch(/^\[cache\] error: .* \[(USAGE|CONFIG_INVALID)\]\n$/);
    expect(result.stdout).toBe('');
  });

  it('a current directory that has been removed: says so, unless another is given', async () => {
    const gone = join(sandbox.folder, 'gone');
    const run = (args: string) =>
      sandbox.script(`mkdir "${gone}" && cd "${gone}" && rmdir "${gone}" && sandbox-cache ${args}`);
    expectError(expectExit(await run('list'), 2), 'USAGE', /current directory is not there any more/);
    expect(expectExit(await run(`-C "${sandbox.project}" list`), 0).stdout).toBe('No entries.\n');
  });

  it('--json without a command', async () => {
    const { stdout } = expectExit(await sandbox.run(['--json']), 2);
    expect(JSON.parse(stdout)).toEqual({
      exitCode: 2,
      error: {
        code: 'USAGE',
        message: 'no command is given',
        hint: 'sandbox-cache --help shows what it takes.',
      },
    });
  });

  it('--json has what is wrong with the arguments', async () => {
    const result = expectExit(await sandbox.run(['restore', '--nonsense', '--json']), 2);
    expect(JSON.parse(result.stdout)).toEqual({
      exitCode: 2,
      error: {
        code: 'USAGE',
        message: "unknown option '--nonsense'",
        hint: 'sandbox-cache restore --help shows what it takes.',
      },
    });
  });

  it.each([
    ['CACHE_S3_BUCKET', 's3://bucket', /without s3:\/\//],
    ['CACHE_S3_PREFIX', 'a//b', /holds an empty part/],
    ['CACHE_COMPRESSION', 'best', /true \(gzip\), false \(no compression\) or zstd/],
    ['CACHE_COMPRESSION_LEVEL', '10', /from 1 to 9/],
    ['CACHE_VERBOSE', 'maybe', /true or false/],
    ['CACHE_TIMEOUT', 'soon', /It takes seconds/],
    ['CACHE_STALL_TIMEOUT', '0', /It takes seconds/],
    ['CACHE_KEY_RUNTIME', 'ruby', /true or false/],
    ['CACHE_KEY_SALT', 'a\nb', /of one line/],
    ['CACHE_COMPRESSION_LEVEL', 'best', /from 1 to 9/, { CACHE_COMPRESSION: 'false' }],
    ['CACHE_LOCAL_MAX_SIZE', 'much', /It takes a size/],
    ['CACHE_READONLY', '2', /true or false/],
    ['CACHE_SIGNING_KEY', 'no-such-file', /neither a PEM key nor a readable file/],
    ['CACHE_SIGNING_KEY', 'deps.lock', /neither a PEM key nor a readable file that holds one/],
    ['CACHE_VERIFY_KEY', 'no-such-file', /keygen/],
    ['CACHE_S3_SSE', 'aes', /AES256, aws:kms, aws:kms:dsse/],
    ['CACHE_S3_ACCELERATE', '?', /true or false/],
    ['CACHE_S3_FORCE_PATH_STYLE', '?', /true or false/],
    ['CACHE_WORKERS', 'all', /from 1 to 64/],
    ['CACHE_WORKERS', '65', /from 1 to 64/],
    ['AWS_ENDPOINT_URL_S3', 'localhost:9000', /It takes a whole URL/],
    ['AWS_REGION', 'bad_region!', /It takes a name such as eu-central-1/],
  ])('%s=%j', async (name, value, text, more: Env = {}) => {
    makeProject(sandbox.project);
    const result = expectExit(
      await sandbox.run(['restore', ...DEPS], { env: { ...more, [name]: value } }),
      2,
    );
    expectError(result, 'CONFIG_INVALID', text);
    expect(result.stderr).toContain(name);
  });

  it('an empty variable counts as unset', async () => {
    makeProject(sandbox.project);
    const names = [
      'CACHE_TIMEOUT',
      'CACHE_COMPRESSION',
      'CACHE_SIGNING_KEY',
      'CACHE_WORKERS',
      'CACHE_S3_PREFIX',
    ];
    const env = Object.fromEntries(names.map((name) => [name, '']));
    expectExit(await sandbox.run(['restore', ...DEPS], { env }), 1);
  });
});

describe('no cache, nothing to do', () => {
  it('no bucket: 1 for restore, 0 for save, silent unless verbose', async () => {
    makeNpmProject(sandbox.project);
    const env = { CACHE_S3_BUCKET: undefined };
    for (const [args, code] of [
      [['restore'], 1],
      [['restore', 'npm'], 1],
      [['save', 'npm'], 0],
    ] as const) {
      const quiet = expectExit(await sandbox.run(args, { env }), code);
      expect(quiet.stdout + quiet.stderr).toBe('');
      const verbose = expectExit(await sandbox.run([...args, '-v'], { env }), code);
      expect(verbose).toMatchObject({
        stdout: '',
        stderr: '[cache] Caching is off: CACHE_S3_BUCKET is not set\n',
      });
    }
    expect(sandbox.server.requests).toEqual([]);
    expectError(expectExit(await sandbox.run(['list'], { env }), 2), 'CONFIG_INVALID', /CACHE_S3_BUCKET/);
  });

  it('warm without a cache to fill: 2, whether or not there is a lockfile', async () => {
    for (const env of [{ CACHE_S3_BUCKET: undefined }, { CACHE_READONLY: 'true' }]) {
      const name = Object.keys(env)[0]!;
      for (const args of [['warm'], ['warm', 'npm']]) {
        const result = expectExit(await sandbox.run(args, { env }), 2);
        expectError(result, 'CONFIG_INVALID', new RegExp(`no cache to warm: ${name}`));
      }
    }
  });

  it('no lockfile, no bucket: key says what it looked for all the same', async () => {
    const result = expectExit(await sandbox.run(['key'], { env: { CACHE_S3_BUCKET: undefined } }), 1);
    expect(result.stderr).toMatch(/^\[cache\] warning: No Gemfile\.lock/);
  });

  it('no lockfile: 1, and a warning names the files looked for', async () => {
    for (const command of ['restore', 'save', 'key']) {
      const named = expectExit(await sandbox.run([command, 'npm']), 1);
      expect(named.stderr).toMatch(
        /^\[cache\] warning: .*npm-shrinkwrap\.json or package-lock\.json[^\n]*\n$/,
      );
      const all = expectExit(await sandbox.run([command]), 1);
      expect(all.stderr).toMatch(/^\[cache\] warning: .*Gemfile\.lock.*package-lock\.json[^\n]*\n$/);
    }
  });

  it('nothing installed: 1, and nothing is sent', async () => {
    makeProject(sandbox.project);
    wipe(sandbox.project, 'deps');
    const result = expectExit(await sandbox.run(['save', ...DEPS]), 1);
    expect(result.stdout).toBe('deps not saved: nothing is installed in deps\n');
    expect(sandbox.keys).toEqual([]);
  });

  it('read-only: save is 0 and writes nothing, restore works', async () => {
    makeProject(sandbox.project);
    const env = { CACHE_READONLY: 'true' };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expectExit(await sandbox.run(['save'], { env }), 0);
    expect(sandbox.keys).toEqual([]);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS], { env }), 0);
  });

  it('key asks nobody: no bucket, no credentials, no server', async () => {
    makeNpmProject(sandbox.project);
    const env = Object.fromEntries(Object.keys(sandbox.env).map((name) => [name, undefined]));
    const { stdout } = expectExit(await sandbox.run(['key', 'npm'], { env }), 0);
    expect(stdout).toMatch(/^claude-sandbox-cache\/npm-[0-9a-f]{16}-\w+-\w+-node\d+\.tar\.gz\n$/);
    const { stdout: url } = expectExit(await sandbox.run(['key', 'npm', '--url']), 0);
    expect(url).toBe(`s3://${sandbox.bucket}/${stdout}`);
  });
});

describe('several recipes in one run: all have their turn, and the first that applies of 2, 3, 4, 1, 0 is the code', () => {
  // Without the runtime no Ruby is asked; its entry never passes verification, because there is no bundle.
  const plain = { CACHE_KEY_RUNTIME: 'false' };

  function makeBoth(): void {
    makeNpmProject(sandbox.project);
    writeFiles(sandbox.project, { 'Gemfile.lock': 'GEM\n', 'vendor/bundle/x': 'x' });
  }

  function fail(recipe: string): void {
    sandbox.server.faults.add({
      match: ({ key }) => key.includes(`/${recipe}-`),
      times: 10,
      effect: { type: 'error', status: 400, code: 'InvalidArgument' },
    });
  }

  it('1 over 0: a miss does not keep the next from being restored', async () => {
    makeBoth();
    expectExit(await sandbox.run(['save', 'npm'], { env: plain }), 0);
    wipe(sandbox.project, 'node_modules', 'vendor');
    const result = expectExit(await sandbox.run(['restore'], { env: plain }), 1);
    expect(result.stdout).toMatch(
      /^Ruby gems not in the cache .*\nNode packages restored from S3 cache .*\nMissed: bundle\. In place: npm\. .*\n$/,
    );
    expect(existsSync(join(sandbox.project, 'node_modules/one'))).toBe(true);
  });

  it('3 over 1, whichever comes first', async () => {
    makeBoth();
    for (const recipe of ['bundle', 'npm']) {
      sandbox.server.faults.clear();
      fail(recipe);
      const result = expectExit(await sandbox.run(['restore', 'bundle', 'npm'], { env: plain }), 3);
      expect(result.stdout).toMatch(/not in the cache/);
      expectError(result, 'STORE_FAILED', /s3:GetObject/);
    }
  });

  it('4 over 1, 3 over 4', async () => {
    makeBoth();
    wipe(sandbox.project, 'node_modules/one/package.json');
    expectExit(await sandbox.run(['save', 'npm', '--no-verify'], { env: plain }), 0);
    wipe(sandbox.project, 'node_modules', 'vendor');
    const unverified = expectExit(await sandbox.run(['restore'], { env: plain }), 4);
    expect(unverified.stdout).toMatch(
      /^Ruby gems not in the cache.*\nNode packages restored, but not usable: /,
    );
    fail('bundle');
    expectExit(await sandbox.run(['restore'], { env: plain }), 3);
  });

  it('2 over 3: no ruby on PATH', async () => {
    makeBoth();
    fail('npm');
    const PATH = join(sandbox.folder, 'bin');
    mkdirSync(PATH);
    symlinkSync(process.execPath, join(PATH, 'node'));
    const result = expectExit(await sandbox.run(['restore'], { env: { PATH } }), 2);
    expect(result.stderr).toMatch(
      /^\[cache\] error: .*ruby.*\[RUNTIME_MISSING\]\n\[cache\] error: .*\[STORE_FAILED\]\n$/,
    );
  });
});

describe('what time may not do', () => {
  it('an interpreter that hangs ends with CACHE_TIMEOUT', async () => {
    writeFileSync(join(sandbox.project, 'Gemfile.lock'), 'GEM\n');
    const ruby = join(sandbox.folder, 'bin/ruby');
    mkdirSync(dirname(ruby));
    writeFileSync(ruby, '#!/bin/sh\nexec sleep 60\n', { mode: 0o755 });
    const env = { PATH: `${dirname(ruby)}:${process.env['PATH']}`, CACHE_TIMEOUT: '0.5' };
    const result = expectExit(await sandbox.run(['restore', 'bundle'], { env }), 3);
    expectError(result, 'TIMEOUT', /Asking ruby for its version took longer than 0\.5 s/);
  });

  it('a service that takes connections and never answers: told before the second, shorter wait', async () => {
    makeProject(sandbox.project);
    sandbox.server.faults.add({ match: () => true, times: 100, effect: { type: 'stall' } });
    const env = { CACHE_STALL_TIMEOUT: '0.5' };
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { env }), 3);
    expect(result.stderr).toMatch(
      /^\[cache\] warning: [^\n]* within 0\.5 s: trying again, [^\n]+\n\[cache\] error: /,
    );
    expect(result.stderr).toContain('[STORE_STALLED]');
    expect(sandbox.server.requests).toHaveLength(2);
  });

  it('CACHE_TIMEOUT ends an operation that goes on, CACHE_STALL_TIMEOUT one where nothing comes', async () => {
    makeProject(sandbox.project, { bigBytes: 3_000_000 });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    wipe(sandbox.project, 'deps/.sandbox-cache-receipt.json');
    const before = treeOf(join(sandbox.project, 'deps'));
    const get = (operation: string) => operation === 'GetObject';
    const trickle = { type: 'trickle', bytes: 100, everyMs: 20 } as const;
    sandbox.server.faults.add({ match: ({ operation }) => get(operation), times: 100, effect: trickle });
    const late = expectExit(await sandbox.run(['restore', ...DEPS], { env: { CACHE_TIMEOUT: '1' } }), 3);
    expectError(late, 'TIMEOUT', /Restoring deps took longer than 1 s \(CACHE_TIMEOUT\)/);

    sandbox.server.faults.clear();
    // So little that each retry counts as the same fault.
    const stall = { type: 'stall', responseBytes: 100 } as const;
    sandbox.server.faults.add({ match: ({ operation }) => get(operation), times: 100, effect: stall });
    const stalled = expectExit(
      await sandbox.run(['restore', ...DEPS], { env: { CACHE_STALL_TIMEOUT: '0.3' } }),
      3,
    );
    expectError(stalled, 'STORE_STALLED', /made no progress for 0\.3 s/);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
  });
});
