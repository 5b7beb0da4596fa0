/** `doctor --store`: each broken set-up is named, with what mends it; and what it types is then tried where a test can. */
import { createServer } from 'node:http';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import { describe, expect, it } from 'vitest';
import { freePorts } from '../support/ports.ts';
import { startS3Server } from '../support/s3-server.ts';
import { startConnectProxy } from '../store/s3/connect-proxy.ts';
import { expectExit, makeNpmProject, useSandbox, type CliResult } from './support.ts';

const sandbox = useSandbox();
const DOCTOR = ['doctor', '--store', '--no-write'];
type Env = Record<string, string | undefined>;

interface Told {
  exitCode: number;
  findings: { id: string; mark: string; fact: string; mend?: string }[];
  matrix: string[][];
}

const told = (result: CliResult): Told => JSON.parse(result.stdout) as Told;
const examine = async (env: Env, code: number): Promise<Told> =>
  told(expectExit(await sandbox.run([...DOCTOR, '--json'], { env }), code));

describe('a broken set-up', () => {
  it.each<[string, () => Env, string, RegExp, Env]>([
    [
      'a wrong secret',
      () => ({ AWS_SECRET_ACCESS_KEY: 'wrong' }),
      'store-bad-credentials',
      /^read -rs AWS_SECRET_ACCESS_KEY && export AWS_SECRET_ACCESS_KEY$/,
      { AWS_SECRET_ACCESS_KEY: undefined },
    ],
    [
      'an unknown key id',
      () => ({ AWS_ACCESS_KEY_ID: 'AKIAUNKNOWN000000000' }),
      'store-bad-credentials',
      /^read -r AWS_ACCESS_KEY_ID && export AWS_ACCESS_KEY_ID/,
      { AWS_ACCESS_KEY_ID: undefined },
    ],
    [
      'a token that belongs to nothing',
      () => ({ AWS_SESSION_TOKEN: 'stale' }),
      'store-bad-credentials',
      /AWS_SESSION_TOKEN/,
      { AWS_SESSION_TOKEN: undefined },
    ],
    [
      'no such bucket',
      () => ({ CACHE_S3_BUCKET: 'not-there' }),
      'store-no-bucket',
      /^sandbox-cache setup$/,
      { CACHE_S3_BUCKET: undefined },
    ],
    [
      'https to an http port',
      () => ({ AWS_ENDPOINT_URL_S3: sandbox.server.endpoint.replace('http:', 'https:') }),
      'store-tls',
      /^export AWS_ENDPOINT_URL_S3=http:\/\/127\.0\.0\.1:\d+$/,
      { AWS_ENDPOINT_URL_S3: undefined },
    ],
    [
      'no such host',
      () => ({ AWS_ENDPOINT_URL_S3: 'https://no-such-host.invalid' }),
      'store-unreachable',
      /^read -r AWS_ENDPOINT_URL_S3 && export/,
      { AWS_ENDPOINT_URL_S3: undefined },
    ],
  ])('%s', async (_, broken, id, mend, mended) => {
    const env = broken();
    const { findings } = await examine(env, 3);
    expect(findings).toHaveLength(1);
    expect(findings[0]).toMatchObject({ id, mark: 'failure' });
    expect(findings[0]!.mend).toMatch(mend);
    const kept = Object.fromEntries(Object.entries(env).filter(([name]) => !(name in mended)));
    expect((await examine(kept, 0)).findings.map(({ mark }) => mark)).not.toContain('failure');
  });

  it('an expired token', async () => {
    const effect = { type: 'error', status: 400, code: 'ExpiredToken' } as const;
    sandbox.server.faults.add({ match: () => true, times: 99, effect });
    const { findings } = await examine({}, 3);
    expect(findings[0]).toMatchObject({ id: 'store-bad-credentials' });
    expect(findings[0]!.mend).toContain('read -rs AWS_SESSION_TOKEN');
    sandbox.server.faults.clear();
    await examine({}, 0);
  });

  it('a dead endpoint', async () => {
    const [port] = await freePorts(1);
    const { findings } = await examine({ AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` }, 3);
    expect(findings[0]).toMatchObject({ id: 'store-unreachable' });
    expect(findings[0]!.mend).toMatch(/AWS_ENDPOINT_URL_S3/);
  });

  it('a web server that is no S3', async () => {
    const web = createServer((_, response) =>
      response.writeHead(200, { 'content-type': 'text/html' }).end('<html>It works</html>'),
    );
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const { port } = web.address() as AddressInfo;
    const { findings } = await examine({ AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${port}` }, 3);
    web.close();
    expect(findings[0]).toMatchObject({ id: 'store-not-s3' });
  });

  it('a clock that is an hour off is a warning: the SDK corrects it', async () => {
    const server = await startS3Server({ buckets: ['bucket'], clockOffsetMs: 3_600_000 });
    try {
      const env = { ...server.environment, CACHE_S3_BUCKET: 'bucket' };
      const clock = (await examine(env, 0)).findings.find(({ id }) => id === 'clock');
      expect(clock).toMatchObject({ mark: 'warning' });
      expect(clock!.fact).toContain('60 min behind');
      expect(clock!.mend).toMatch(/^sudo date -s '(3599|3600|3601) seconds'$/);
    } finally {
      await server.close();
    }
  });

  it('another region is a warning, and what it says mends it', async () => {
    const server = await startS3Server({ buckets: [{ name: 'far', region: 'eu-west-1' }] });
    try {
      const env = { ...server.environment, CACHE_S3_BUCKET: 'far' };
      const region = (await examine(env, 0)).findings.find(({ id }) => id === 'region');
      expect(region).toMatchObject({ mark: 'warning', mend: 'export AWS_REGION=eu-west-1' });
      const mended = await examine({ ...env, AWS_REGION: 'eu-west-1' }, 0);
      expect(mended.findings.map(({ id }) => id)).not.toContain('region');
    } finally {
      await server.close();
    }
  });

  it('an unknown certificate; a dead proxy; an endpoint missing in NO_PROXY', async () => {
    const server = await startS3Server({ buckets: ['bucket'], tls: true });
    const proxy = await startConnectProxy(server.port, { status: 403 });
    try {
      const env = { ...server.environment, CACHE_S3_BUCKET: 'bucket' };
      const unknown = (await examine(env, 3)).findings[0]!;
      expect(unknown).toMatchObject({ id: 'store-tls' });
      expect(unknown.mend).toContain('AWS_CA_BUNDLE');
      const ca = join(sandbox.folder, 'ca.pem');
      writeFileSync(ca, server.certificate!);
      const trusted = { ...env, AWS_CA_BUNDLE: ca };
      await examine(trusted, 0);
      const [dead] = await freePorts(1);
      for (const HTTPS_PROXY of [`http://127.0.0.1:${dead}`, proxy.url]) {
        const { fact, mend } = (await examine({ ...trusted, HTTPS_PROXY }, 3)).findings[0]!;
        expect(fact).toContain('The proxy');
        expect(mend).toBe('export NO_PROXY="${NO_PROXY:+$NO_PROXY,}127.0.0.1"');
        await examine({ ...trusted, HTTPS_PROXY, NO_PROXY: '127.0.0.1' }, 0);
      }
    } finally {
      await Promise.all([proxy.close(), server.close()]);
    }
  });

  it.each([
    ['list', 'ListObjectsV2', 'warning'],
    ['get', 'GetObject', 'failure'],
    ['put', 'PutObject', 'failure'],
  ])('a policy without %s', async (right, operation, mark) => {
    const accessKeyId = `AKIANO${right.toUpperCase()}0000000000`;
    const user = { accessKeyId, secretAccessKey: 's', deny: (name: string) => name === operation };
    sandbox.server.addUser(user);
    const env = { AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: 's' };
    const { findings } = told(
      expectExit(await sandbox.run(['doctor', '--store', '--json'], { env }), mark === 'failure' ? 3 : 0),
    );
    const found = findings.find(({ id }) => id === `right-${right}`);
    expect(found).toMatchObject({ mark });
    expect(found!.mend).toContain(
      `Allow s3:${{ list: 'ListBucket', get: 'GetObject', put: 'PutObject' }[right]}`,
    );
    expect(sandbox.keys).toEqual([]);
  });
});

it('all is well: lines, and a table to paste', async () => {
  const { stdout } = expectExit(await sandbox.run(['doctor', '--store']), 0);
  expect(stdout).toMatch(/^✓ s3:\/\/bucket-\w+ answers at http/);
  expect(stdout).toContain('| `If-None-Match: *` on PutObject | honoured | the first of two savers wins |');
  expect(sandbox.keys).toEqual([]);
  expect(sandbox.uploads).toBe(0);
});

it('says how long this project would take, once it is stored', async () => {
  makeNpmProject(sandbox.project);
  const before = told(expectExit(await sandbox.run(['doctor', '--store', '--json']), 0));
  expect(before.findings.map(({ id }) => id)).not.toContain('npm-estimate');
  expectExit(await sandbox.run(['save', 'npm']), 0);
  const after = told(expectExit(await sandbox.run(['doctor', '--store', '--json']), 0));
  const estimate = after.findings.find(({ id }) => id === 'npm-estimate');
  expect(estimate?.fact).toMatch(
    /restore takes some [\d.]+ s to fetch its [\d.]+ \w+, and a save some [\d.]+ s/,
  );
});

it('has ASCII signs where a locale says so', async () => {
  const { stdout } = expectExit(await sandbox.run(DOCTOR, { env: { LC_ALL: 'C' } }), 0);
  expect(stdout).toMatch(/^\+ s3:\/\//);
  expect(stdout).toMatch(/^[\0-\x7f…]*$/);
});

it('CACHE_READONLY: nothing is written', async () => {
  expectExit(await sandbox.run(['doctor', '--store'], { env: { CACHE_READONLY: 'true' } }), 0);
  expect(sandbox.server.requests.filter(({ method }) => method !== 'GET')).toEqual([]);
});

it('without a bucket: exit 2', async () => {
  const result = await sandbox.run(['doctor', '--store'], { env: { CACHE_S3_BUCKET: undefined } });
  expect(expectExit(result, 2).stderr).toContain('CACHE_S3_BUCKET is not set');
});

it('Ctrl-C in the middle leaves nothing', async () => {
  let arrived = (): void => {};
  const there = new Promise<void>((resolve) => (arrived = resolve));
  sandbox.server.faults.add({
    match: ({ operation }) => operation === 'UploadPart',
    effect: { type: 'before', run: () => arrived() },
  });
  const running = await sandbox.start(['doctor', '--store']);
  await there;
  running.child.kill('SIGINT');
  const { signal } = await running.done;
  expect(signal).toBe('SIGINT');
  expect(sandbox.keys).toEqual([]);
  expect(sandbox.uploads).toBe(0);
});

it('prune and list take nothing below .doctor for an entry', async () => {
  const key = `claude-sandbox-cache/.doctor/6f1a/deps-0123456789abcdef.tar.gz`;
  sandbox.server.place(sandbox.bucket, { key, body: Buffer.from('x') });
  expect(expectExit(await sandbox.run(['list']), 0).stdout).toBe('No entries.\n');
  expectExit(await sandbox.run(['prune', '--keep', '0', '--yes']), 0);
  expect(sandbox.keys).toEqual([key]);
});
