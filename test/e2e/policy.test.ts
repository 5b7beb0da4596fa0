/** `policy`, as a program that reads it takes it; and on Ceph RGW, which enforces it. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { ListMultipartUploadsCommand, PutBucketPolicyCommand } from '@aws-sdk/client-s3';
import { beforeEach, describe, expect, it } from 'vitest';
import { startAgingProxy } from '../support/aging-proxy.ts';
import { type CliResult, runCli, startCli } from '../support/cli.ts';
import { findProgram } from '../support/daemon.ts';
import { availableServers, describeEachServer, type S3Target } from '../support/servers.ts';
import { cacheLines, DEPS, expectExit, makeProject, useFolder, wipe, writeFiles } from './support.ts';

const folder = useFolder();
const [terraform, cfnLint] = await Promise.all(['terraform', 'cfn-lint'].map(findProgram));

const print = async (...args: string[]): Promise<string> =>
  expectExit(await runCli(['policy', '--bucket', 'my-bucket', ...args], { cwd: folder.path }), 0).stdout;

const KINDS = [
  ['access'],
  ['bucket', '--principal', 'arn:aws:iam::444455556666:role/ci', '--principal', '111122223333'],
  [
    'irsa',
    '--service-account',
    'default/claude-sandbox-sa',
    '--oidc-provider',
    'arn:aws:iam::111122223333:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/EXAMPLE',
  ],
  ['pod-identity', '--service-account', 'default/claude-sandbox-sa'],
];

describe.each(KINDS)('policy %s', (...kind) => {
  it('json', async () => {
    const text = await print(...kind);
    expect(JSON.parse(text)).toMatchObject({ Version: '2012-10-17' });
    const json = JSON.parse(await print(...kind, '--json')) as Record<string, unknown>;
    expect(json).toMatchObject({ kind: kind[0], roles: ['writer'], prefixes: ['claude-sandbox-cache'] });
    expect(json['document']).toEqual(JSON.parse(text));
  });

  it('aws: commands that a shell takes apart as they are meant', async () => {
    const text = await print(...kind, '--format', 'aws', '--prefix', "it's ${x}");
    const stub = `aws() { for word in "$@"; do case $word in {*) printf '%s\\n' "$word";; esac; done; }`;
    const words = execFileSync('sh', ['-ec', `${stub}\n${text}`], { encoding: 'utf8' })
      .trim()
      .split('\n');
    expect(words).toHaveLength(kind[0] === 'access' || kind[0] === 'bucket' ? 1 : 2);
    for (const word of words) expect(JSON.parse(word)).toMatchObject({ Version: '2012-10-17' });
    expect(words.at(-1)).toContain("/it's ${$}{x}/*");
  });

  it.skipIf(terraform === undefined)('terraform reads it', async () => {
    const input = await print(...kind, '--format', 'terraform', '--prefix', 'a ${x} %{y}');
    const formatted = execFileSync('terraform', ['fmt', '-'], { input, encoding: 'utf8', stdio: 'pipe' });
    expect(formatted).toContain('a $${$}{x} %%{y}');
  });

  it.skipIf(cfnLint === undefined)('cfn-lint has nothing to say about it', async () => {
    const path = join(folder.path, 'template.json');
    writeFileSync(path, await print(...kind, '--format', 'cloudformation'));
    execFileSync('cfn-lint', ['--region', 'us-east-1', '--', path], { encoding: 'utf8' });
  });
});

it.each([
  [[], /no bucket is given/],
  [['--bucket', 's3://b'], /--bucket is "s3:\/\/b"/],
  [['bucket', '--bucket', 'bbb'], /--principal is missing/],
  [['bucket', '--bucket', 'bbb', '--principal', '*'], /--principal is "\*"/],
  [['irsa', '--bucket', 'bbb', '--service-account', 'a/b'], /--oidc-provider is missing/],
  [['pod-identity', '--bucket', 'bbb', '--service-account', 'ab'], /--service-account is "ab"/],
  [['--bucket', 'bbb', '--role', 'admin'], /--role is "admin"/],
  [['--bucket', 'bbb', '--prefix', 'a//b'], /"a\/\/b"/],
  [['--bucket', 'bbb', '--name', 'a b'], /--name is "a b"/],
  [['users'], /<kind> is "users"|kind.*access/],
])('policy %j: exit 2, and says what it takes', async (args, text) => {
  const { stdout, stderr } = expectExit(await runCli(['policy', ...args], { cwd: folder.path }), 2);
  expect(stderr).toMatch(text);
  expect(stdout).toBe('');
});

const ceph = (await availableServers()).filter(({ name }) => name === 'Ceph RGW');

describeEachServer(ceph, (target) => {
  let scene: Scene;
  beforeEach(async () => {
    scene = await makeScene(target(), folder.path);
  });

  const without =
    (action: string) =>
    (document: Document): Document => ({
      ...document,
      Statement: document.Statement.flatMap((statement) => {
        const Action = [statement.Action].flat().filter((one) => one !== action);
        return Action.length === 0 ? [] : [{ ...statement, Action }];
      }),
    });

  it('reader: restores, lists and looks; and needs each of its rights', async () => {
    await scene.owner('save', ...DEPS);
    wipe(scene.project, 'deps');
    await scene.allow('reader');
    expectExit(await scene.guest('restore', ...DEPS), 0);
    expectExit(await scene.guest('list'), 0);
    expectExit(await scene.guest('inspect', ...DEPS), 0);
    expectExit(await scene.guest('key', '--explain', ...DEPS), 0);
    expect(expectExit(await scene.guest('save', '--force', ...DEPS), 3).stderr).toContain('s3:PutObject');

    wipe(scene.project, 'deps');
    await scene.allow('reader', without('s3:GetObject'));
    expect(expectExit(await scene.guest('restore', ...DEPS), 3).stderr).toContain('Allow s3:GetObject');
    await scene.allow('reader', without('s3:ListBucket'));
    expect(expectExit(await scene.guest('list'), 3).stderr).toContain('Allow s3:ListBucket');
  });

  it('writer: saves, in parts too; and needs each of its rights', async () => {
    makeProject(scene.project, { bigBytes: 9e6 });
    await scene.allow('writer');
    expect(expectExit(await scene.guest('save', ...DEPS), 0).stderr).toBe('');
    wipe(scene.project, 'deps');
    expectExit(await scene.guest('restore', ...DEPS), 0);

    await scene.allow('writer', without('s3:PutObject'));
    expectExit(await scene.guest('save', '--force', ...DEPS), 3);
    await scene.allow('writer', without('s3:ListBucket'));
    writeFiles(scene.project, { 'deps.lock': 'another\n' });
    expect(expectExit(await scene.guest('restore', ...DEPS), 1).stderr).toContain('Allow s3:ListBucket');

    // Another's entry: RGW lets everybody read what they have stored themselves.
    await scene.owner('save', ...DEPS);
    wipe(scene.project, 'deps');
    await scene.allow('writer', without('s3:GetObject'));
    expectExit(await scene.guest('restore', ...DEPS), 3);
  });

  it('an old entry of another: a writer renews it, a reader is refused without a word', async () => {
    await scene.owner('save', ...DEPS);
    const proxy = await startAgingProxy(target().endpoint, 20);
    for (const [role, status] of [
      ['reader', 403],
      ['writer', 200],
    ] as const) {
      wipe(scene.project, 'deps');
      await scene.allow(role);
      // Notes say that it was tried today.
      const TMPDIR = join(folder.path, role);
      mkdirSync(TMPDIR);
      const { env, ...options } = scene.options(true);
      const run = runCli(['restore', ...DEPS], {
        ...options,
        env: { ...env, TMPDIR, AWS_ENDPOINT_URL_S3: proxy.endpoint },
      });
      expect(expectExit(await run, 0).stderr).toBe('');
      expect(proxy.copies.at(-1)?.status).toBe(status);
    }
    expect(proxy.copies).toHaveLength(2);
    await proxy.close();
  });

  it('writer: takes an upload back that has failed, and needs the right to', async () => {
    const failing = async (): Promise<string> => {
      makeProject(scene.project, { bigBytes: 24e6 });
      const running = await startCli(['save', ...DEPS, '--verbose'], scene.options(true));
      await running.printed('Saving to cache');
      writeFiles(scene.project, { 'deps.lock': `changed ${Math.random()}\n` });
      return expectExit(await running.done, 3).stderr;
    };
    await scene.allow('writer');
    expect(await failing()).toContain('[SOURCE_CHANGED]');
    expect(await scene.uploads()).toBe(0);
    await scene.allow('writer', without('s3:AbortMultipartUpload'));
    expect(await failing()).toContain('Allow s3:AbortMultipartUpload');
    expect(await scene.uploads()).toBe(1);
  });

  it('pruner: lists and deletes; and needs each of its rights', async () => {
    await scene.owner('save', ...DEPS);
    const prune = (): Promise<CliResult> => scene.guest('prune', '--keep', '0', '--yes');
    for (const action of ['s3:GetObject', 's3:DeleteObject', 's3:ListBucket']) {
      await scene.allow('pruner', without(action));
      expect(expectExit(await prune(), 3).stderr).toContain('[STORE_ACCESS_DENIED]');
    }
    await scene.allow('pruner');
    expect(expectExit(await prune(), 0).stdout).toContain('Deleted 1 of 1 entries');
    wipe(scene.project, 'deps');
    expectExit(await scene.owner('restore', ...DEPS), 1);
  });

  describe("the guide's own", () => {
    const bucket = (): string => `arn:aws:s3:::${scene.bucket}`;

    it('policy: every command passes', async () => {
      await scene.put({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'AllowCacheBucketAccess',
            Effect: 'Allow',
            Principal: GUEST,
            Action: ['s3:GetObject', 's3:PutObject', 's3:ListBucket', 's3:DeleteObject'],
            Resource: [bucket(), `${bucket()}/*`],
          },
        ],
      });
      const quiet = async (code: number, ...args: string[]): Promise<void> =>
        void expect(expectExit(await scene.guest(...args), code).stderr).toBe('');
      await quiet(1, 'restore', ...DEPS);
      await quiet(0, 'save', ...DEPS);
      wipe(scene.project, 'deps');
      await quiet(0, 'restore', ...DEPS);
      await quiet(0, 'list');
      await quiet(0, 'prune', '--keep', '0', '--yes');
    });

    it('cross-account policy, without s3:ListBucket: a miss says so, save and warm go on', async () => {
      await scene.put({
        Version: '2012-10-17',
        Statement: [
          {
            Sid: 'AllowCrossAccountAccess',
            Effect: 'Allow',
            Principal: GUEST,
            Action: ['s3:GetObject', 's3:PutObject'],
            Resource: `${bucket()}/*`,
          },
        ],
      });
      const remedy = new RegExp(
        `^\\[cache\\] warning: Access denied: .* Allow s3:ListBucket on ${bucket()} `,
        'm',
      );
      wipe(scene.project, 'deps');
      expect(expectExit(await scene.guest('restore', '--fallback', ...DEPS), 1).stderr).toMatch(remedy);
      makeProject(scene.project, { bigBytes: 9e6 });
      expect(expectExit(await scene.guest('save', ...DEPS), 0).stderr).toMatch(remedy);
      wipe(scene.project, 'deps');
      const restored = expectExit(await scene.guest('restore', '--verbose', ...DEPS), 0);
      expect(cacheLines(restored)).toContain('Cache restored successfully');

      const install = 'mkdir -p made && echo made > made/file';
      const recipes = { made: { lockfiles: ['made.lock'], paths: ['made'], install } };
      writeFiles(scene.project, {
        '.sandbox-cache.json': JSON.stringify({ recipes }),
        'made.lock': 'made\n',
      });
      const warmed = expectExit(await scene.guest('warm', 'made'), 0);
      expect(warmed.stderr).toMatch(remedy);
      expect(expectExit(await scene.guest('warm', 'made'), 0).stderr).toBe('');
    });
  });
});

interface Document {
  Version: string;
  Statement: { Action: string | string[]; [name: string]: unknown }[];
}

const GUEST = { AWS: ['arn:aws:iam:::user/guest'] };

interface Scene {
  project: string;
  bucket: string;
  options(isGuest: boolean): { cwd: string; env: Record<string, string> };
  owner(...args: string[]): Promise<CliResult>;
  guest(...args: string[]): Promise<CliResult>;
  /** The guest has the policy that we print for the role. */
  allow(role: string, change?: (document: Document) => Document): Promise<void>;
  put(document: Document): Promise<void>;
  /** Multipart uploads that are left. */
  uploads(): Promise<number>;
}

async function makeScene(target: S3Target, path: string): Promise<Scene> {
  const { bucket } = await target.place();
  const { client, environment, guest } = target;
  const project = join(path, 'project');
  rmSync(project, { recursive: true, force: true });
  writeFiles(project, {});
  makeProject(project);
  const options = (isGuest: boolean): { cwd: string; env: Record<string, string> } => ({
    cwd: project,
    env: {
      ...environment,
      CACHE_S3_BUCKET: bucket,
      ...(isGuest && {
        AWS_ACCESS_KEY_ID: guest!.accessKeyId,
        AWS_SECRET_ACCESS_KEY: guest!.secretAccessKey,
      }),
    },
  });
  const put = async (document: Document): Promise<void> => {
    await client.send(new PutBucketPolicyCommand({ Bucket: bucket, Policy: JSON.stringify(document) }));
  };
  return {
    project,
    bucket,
    options,
    put,
    owner: (...args) => runCli(args, options(false)),
    guest: (...args) => runCli(args, options(true)),
    async allow(role, change = (document) => document) {
      const args = ['policy', 'bucket', '--role', role, '--principal', GUEST.AWS[0]!];
      const { stdout } = expectExit(await runCli(args, options(false)), 0);
      await put(change(JSON.parse(stdout) as Document));
    },
    async uploads() {
      const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }));
      return Uploads.length;
    },
  };
}
