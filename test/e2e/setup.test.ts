/** `setup`, on every server: a bucket from nothing, a second run with nothing to do, and what stands in its way. */
import { mkdirSync, readFileSync, statSync, symlinkSync } from 'node:fs';
import { join } from 'node:path';
import {
  CreateBucketCommand,
  GetBucketLifecycleConfigurationCommand,
  GetPublicAccessBlockCommand,
  PutBucketLifecycleConfigurationCommand,
  PutPublicAccessBlockCommand,
} from '@aws-sdk/client-s3';
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { type CliResult, runCli, runScript } from '../support/cli.ts';
import { findProgram } from '../support/daemon.ts';
import { availableServers, describeEachServer } from '../support/servers.ts';
import { DEPS, expectExit, makeProject, useFolder, useSandbox, wipe, writeFiles } from './support.ts';

const folder = useFolder();
const newName = (): string => `sandbox-cache-test-${randomBytes(6).toString('hex')}`;
const WHOLE = {
  BlockPublicAcls: true,
  IgnorePublicAcls: true,
  BlockPublicPolicy: true,
  RestrictPublicBuckets: true,
};

describeEachServer(await availableServers(), (target) => {
  const scene = (bucket = newName()) => {
    const project = join(folder.path, 'project');
    mkdirSync(project, { recursive: true });
    const options = { cwd: project, env: { ...target().environment, CACHE_S3_BUCKET: bucket } };
    return {
      bucket,
      project,
      options,
      run: (...args: string[]): Promise<CliResult> => runCli(args, options),
    };
  };
  const rulesOf = async (Bucket: string) =>
    (await target().client.send(new GetBucketLifecycleConfigurationCommand({ Bucket }))).Rules ?? [];

  it('names the bucket by itself, for this run or for good', async () => {
    const { options, bucket, project } = scene();
    const env = { ...options.env, CACHE_S3_BUCKET: undefined };
    const run = (...args: string[]): Promise<CliResult> => runCli(args, { ...options, env });
    const first = expectExit(await run('setup', bucket, '--yes'), 0);
    expect(first.stdout).toMatch(
      new RegExp(`^set +bucket ${bucket}\\n[^]*\\nNow: export CACHE_S3_BUCKET=${bucket}\\n$`),
    );
    expect(expectExit(await run('setup', bucket, '--yes', '--env-file'), 0).stdout).not.toContain('Now:');
    makeProject(project);
    const saved = expectExit(await run('save', ...DEPS), 0);
    expect(saved.stdout).toContain(`s3://${bucket}/`);
    expect(expectExit(await run('setup', 's3://x', '--yes'), 2).stderr).toContain('CACHE_S3_BUCKET');
  });

  it('from nothing to a working cache; the second run has nothing to do', async () => {
    const { run, bucket, project } = scene();
    const first = expectExit(await run('setup', '--yes'), 0);
    const { bucketSettings } = target().traits;
    const done = bucketSettings ? 'set' : 'not offered';
    expect(first.stdout).toMatch(new RegExp(`^set +bucket ${bucket}\\n${done} +public access block`));
    const rules = bucketSettings ? await rulesOf(bucket) : undefined;
    if (bucketSettings)
      expect(rules).toMatchObject([
        {
          ID: 'sandbox-cache claude-sandbox-cache',
          Filter: { Prefix: 'claude-sandbox-cache/' },
          Expiration: { Days: 30 },
          AbortIncompleteMultipartUpload: { DaysAfterInitiation: 1 },
        },
      ]);
    makeProject(project);
    expectExit(await run('save', ...DEPS), 0);
    wipe(project, 'deps');
    expectExit(await run('restore', ...DEPS), 0);

    // Nobody is asked, because nothing is to be done.
    const second = expectExit(await run('setup'), 0);
    expect(second.stdout).not.toMatch(/^(set|to do)/m);
    expect(expectExit(await run('setup', '--dry-run'), 0).stdout).toBe('# Nothing to do.\n');
    expect(expectExit(await run('list'), 0).stdout).toContain('1 entry');
  });

  it("others' lifecycle rules stay", async () => {
    if (!target().traits.bucketSettings) return;
    const { run, bucket } = scene();
    await target().client.send(new CreateBucketCommand({ Bucket: bucket }));
    const others = {
      ID: 'theirs',
      Status: 'Enabled',
      Filter: { Prefix: 'logs/' },
      Expiration: { Days: 7 },
    } as const;
    const LifecycleConfiguration = { Rules: [others] };
    await target().client.send(
      new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration }),
    );
    expectExit(await run('setup', '--yes', '--expire-days', '10'), 0);
    expectExit(await run('setup', '--yes', '--expire-days', '0', '--abort-days', '3'), 0);
    const rules = await rulesOf(bucket);
    expect(rules.map(({ ID }) => ID).sort()).toEqual(['sandbox-cache claude-sandbox-cache', 'theirs']);
    expect(rules.find(({ ID }) => ID === 'theirs')).toMatchObject(others);
    const own = rules.find(({ ID }) => ID !== 'theirs');
    expect(own?.Expiration).toBeUndefined();
    expect(own?.AbortIncompleteMultipartUpload).toEqual({ DaysAfterInitiation: 3 });
  });

  it('carries on after a run that was killed when public access had just been blocked', async () => {
    if (!target().traits.bucketSettings) return;
    const { run, bucket, project } = scene();
    await target().client.send(new CreateBucketCommand({ Bucket: bucket }));
    const PublicAccessBlockConfiguration = WHOLE;
    await target().client.send(
      new PutPublicAccessBlockCommand({ Bucket: bucket, PublicAccessBlockConfiguration }),
    );
    expectExit(await run('setup', '--yes'), 0);
    makeProject(project);
    expectExit(await run('save', ...DEPS), 0);
    const { PublicAccessBlockConfiguration: block } = await target().client.send(
      new GetPublicAccessBlockCommand({ Bucket: bucket }),
    );
    // Ceph RGW refuses every write with the first of them.
    expect(block).toEqual({ ...WHOLE, BlockPublicAcls: target().name !== 'Ceph RGW' });
    expect(expectExit(await run('setup'), 0).stdout).not.toMatch(/^(set|to do)/m);
  });

  it("a bucket of somebody else's: says so, and changes nothing", async () => {
    const { guest } = target();
    if (guest === undefined) return;
    const { bucket, options } = scene();
    await target().client.send(new CreateBucketCommand({ Bucket: bucket }));
    const env = { AWS_ACCESS_KEY_ID: guest.accessKeyId, AWS_SECRET_ACCESS_KEY: guest.secretAccessKey };
    const result = await runCli(['setup', '--yes'], { ...options, env: { ...options.env, ...env } });
    expect(expectExit(result, 3).stderr).toMatch(/exists, and answers 403 .*\[STORE_ACCESS_DENIED\]\n$/);
  });
});

const moto = (await availableServers()).filter(({ name }) => name === 'moto');
const aws = await findProgram('aws');

describeEachServer(moto, (target) => {
  it.skipIf(aws === undefined)('the commands of --dry-run do the same', async () => {
    const bucket = newName();
    const { client, environment } = target();
    const options = {
      cwd: folder.path,
      env: { ...environment, CACHE_S3_BUCKET: bucket, PYENV_VERSION: process.env['PYENV_VERSION'] },
    };
    const script = 'set -e\nsandbox-cache setup --dry-run --intelligent-tiering > commands\nsh -e commands';
    const home = process.env['HOME'];
    expectExit(await runScript(script, { ...options, env: { ...options.env, HOME: home } }), 0);
    expect(readFileSync(join(folder.path, 'commands'), 'utf8').match(/^aws /gm)).toHaveLength(4);
    const { Rules } = await client.send(new GetBucketLifecycleConfigurationCommand({ Bucket: bucket }));
    expect(Rules).toMatchObject([{ Transitions: [{ StorageClass: 'INTELLIGENT_TIERING' }] }]);
    const { PublicAccessBlockConfiguration } = await client.send(
      new GetPublicAccessBlockCommand({ Bucket: bucket }),
    );
    expect(PublicAccessBlockConfiguration).toEqual(WHOLE);
  });
});

describe('setup', () => {
  const sandbox = useSandbox();

  it('without a terminal and without --yes: tells the plan, and does nothing', async () => {
    const result = expectExit(await sandbox.run(['setup']), 2);
    expect(result.stderr).toMatch(/The plan: is there bucket .*to do public access block.*Add --yes/);
    expect(sandbox.server.requests.some(({ method }) => method === 'PUT')).toBe(false);
  });

  it('a step that is not allowed does not keep the others from their turn, and is named', async () => {
    const user = { accessKeyId: 'AKIASOME000000000000', secretAccessKey: 'some' };
    sandbox.server.addUser({ ...user, deny: (operation) => operation === 'PutBucketLifecycleConfiguration' });
    const env = { AWS_ACCESS_KEY_ID: user.accessKeyId, AWS_SECRET_ACCESS_KEY: user.secretAccessKey };
    const result = expectExit(await sandbox.run(['setup', '--yes', '--encryption', 'aws:kms'], { env }), 3);
    expect(result.stderr).toMatch(
      /Not done: lifecycle rule .*\(allow s3:PutLifecycleConfiguration\)\. Done: public access block; default encryption aws:kms\. /,
    );
    expect([...sandbox.server.bucket(sandbox.bucket).settings.keys()].sort()).toEqual([
      'encryption',
      'publicAccessBlock',
    ]);
    const again = expectExit(await sandbox.run(['setup', '--yes', '--json']), 0);
    const { steps } = JSON.parse(again.stdout) as {
      steps: { title: string; applied?: { result: string } }[];
    };
    expect(steps.filter(({ applied }) => applied !== undefined)).toMatchObject([
      { title: expect.stringMatching(/^lifecycle rule/), applied: { result: 'done' } },
    ]);
  });

  it('an encryption that is there stays, unless another is asked for', async () => {
    expectExit(await sandbox.run(['setup', '--yes', '--encryption', 'aws:kms']), 0);
    expect(expectExit(await sandbox.run(['setup']), 0).stdout).toMatch(
      /^is there +default encryption aws:kms$/m,
    );
    expectExit(await sandbox.run(['setup', '--yes', '--encryption', 'AES256']), 0);
    expect(sandbox.server.bucket(sandbox.bucket).settings.get('encryption')).toContain('AES256');
  });

  it('CACHE_READONLY, or no bucket: exit 2', async () => {
    expectExit(await sandbox.run(['setup', '--yes'], { env: { CACHE_READONLY: 'true' } }), 2);
    expectExit(await sandbox.run(['setup', '--yes'], { env: { CACHE_S3_BUCKET: undefined } }), 2);
  });

  it('--env-file adds what is missing, for its owner alone, and has git ignore it', async () => {
    mkdirSync(join(sandbox.project, '.git'));
    writeFiles(sandbox.project, { '.env.claude-sandbox': 'CACHE_S3_PREFIX=mine', '.gitignore': 'dist' });
    const setup = async (): Promise<CliResult> =>
      expectExit(await sandbox.run(['setup', '--yes', '--env-file']), 0);
    await setup();
    const file = join(sandbox.project, '.env.claude-sandbox');
    const text = `CACHE_S3_PREFIX=mine\nCACHE_S3_BUCKET=${sandbox.bucket}\nAWS_REGION=us-east-1\n`;
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(readFileSync(join(sandbox.project, '.gitignore'), 'utf8')).toBe('dist\n.env.claude-sandbox\n');
    await setup();
    expect(readFileSync(file, 'utf8')).toBe(text);
    expect(readFileSync(join(sandbox.project, '.gitignore'), 'utf8')).toBe('dist\n.env.claude-sandbox\n');
  });

  it('--env-file changes nothing that is there, and does not write through a link', async () => {
    writeFiles(sandbox.project, { '.env.claude-sandbox': 'CACHE_S3_BUCKET=another\n' });
    const kept = expectExit(await sandbox.run(['setup', '--yes', '--env-file']), 0);
    expect(kept.stderr).toContain('.env.claude-sandbox line 1 keeps another CACHE_S3_BUCKET');
    expect(readFileSync(join(sandbox.project, '.env.claude-sandbox'), 'utf8')).toMatch(
      /^CACHE_S3_BUCKET=another\n/,
    );
    wipe(sandbox.project, '.env.claude-sandbox');
    symlinkSync(join(sandbox.folder, 'elsewhere'), join(sandbox.project, '.env.claude-sandbox'));
    const refused = expectExit(await sandbox.run(['setup', '--yes', '--env-file']), 3);
    expect(refused.stderr).toContain('[TARGET_UNWRITABLE]');
  });
});
