/** docs/kubernetes.md: each manifest is what the API takes, and what its containers run works. */
import { spawnSync } from 'node:child_process';
import { expect, it } from 'vitest';
import { parse } from 'yaml';
import { expectExit, makeNpmProject, tool, useSandbox, wipe } from '../e2e/support.ts';
import { findProgram } from '../support/daemon.ts';
import { blockBelow, blocksOf, nameOf } from './pages.ts';
import { typeErrors, type Sample } from './type-errors.ts';

const PAGE = 'docs/kubernetes.md';
const MODULES: Record<string, string> = { v1: 'core/v1', 'batch/v1': 'batch/v1' };

interface Container {
  args: string[];
  command: string[];
  env: { name: string; value: string }[];
}

interface Pod {
  spec: { containers: Container[]; initContainers?: Container[] };
}

interface Manifest {
  spec: { template?: Pod; jobTemplate?: { spec: { template: Pod } } };
}

const sandbox = useSandbox();
const kubectl = await findProgram('kubectl');

/** Manifests by their kind; what is to be added to a pod as its PodSpec. */
function samples(): Sample[] {
  return blocksOf(PAGE, 'yaml').map((block) => {
    const value = parse(block.text) as { apiVersion?: string; kind?: string; containers?: unknown };
    const { apiVersion, kind = 'PodSpec' } = value;
    const module = `kubernetes-types/${MODULES[apiVersion ?? 'v1']}.js`;
    if (kind !== 'PodSpec') return { name: nameOf(block), module, type: kind, value };
    return { name: nameOf(block), module, type: kind, value: { containers: [], ...value } };
  });
}

it('its manifests are what the API takes', () => {
  expect(samples().map(({ type }) => type)).toEqual(
    expect.arrayContaining([
      'Secret',
      'Job',
      'ServiceAccount',
      'CronJob',
      'PodSpec',
      'PersistentVolumeClaim',
    ]),
  );
  expect(typeErrors(samples())).toEqual([]);
});

it('a misspelt field would be noticed', () => {
  const [job] = samples().filter(({ type }) => type === 'Job');
  const text = JSON.stringify(job!.value).replace('"mountPath"', '"mountpath"');
  expect(typeErrors([{ ...job!, value: JSON.parse(text) }])).toEqual([expect.stringContaining('mountpath')]);
});

it('what the job and the warming run brings the tree', async () => {
  makeNpmProject(sandbox.project);
  const git = (...args: string[]) => tool('git', args, { cwd: sandbox.project });
  await git('init', '--quiet');
  await git('add', 'package.json', 'package-lock.json');
  await git('-c', 'user.name=a', '-c', 'user.email=a@b.example', 'commit', '--quiet', '--message=a');
  expectExit(await sandbox.run(['save', 'npm']), 0);

  for (const [heading, find] of [
    ['A job', (at: Manifest) => at.spec.template!.spec.initContainers!],
    ['Warming', (at: Manifest) => at.spec.jobTemplate!.spec.template.spec.containers],
  ] as const) {
    const { args, command, env } = find(parse(blockBelow(PAGE, heading, 'yaml')) as Manifest)[0]!;
    expect(command).toEqual(['bash', '-euo', 'pipefail', '-c']);
    wipe(sandbox.folder, 'workspace');
    const said = expectExit(
      await sandbox.script(`mkdir ../workspace; cd ../workspace; set -euo pipefail\n${args[0]}`, {
        env: {
          ...Object.fromEntries(env.map(({ name, value }) => [name, value])),
          HOME: `${sandbox.project}.home`,
          REPOSITORY: sandbox.project,
        },
      }),
      0,
    );
    expect(said.stdout).toMatch(
      heading === 'A job' ? /^Node packages restored from S3 cache/m : /^Node packages already cached at/m,
    );
  }
});

it.skipIf(!kubectl)('the three ways to the secret give the same names', () => {
  const [literal, shell] = blocksOf(PAGE, 'bash').filter(({ text }) =>
    text.includes('create secret generic'),
  );
  const stringData = (parse(blockBelow(PAGE, 'Settings', 'yaml')) as { stringData: object }).stringData;
  for (const { text } of [literal!, shell!]) {
    // No cluster is here: what would be applied is printed.
    const { stdout, stderr, status } = spawnSync(
      'bash',
      ['-eo', 'pipefail', '-c', text.replace('kubectl apply -f -', 'cat')],
      {
        encoding: 'utf8',
        stdio: ['ignore', 'pipe', 'pipe'],
        env: {
          PATH: process.env['PATH'],
          AWS_REGION: 'us-east-1',
          CACHE_S3_BUCKET: 'my-claude-sandbox-cache',
          AWS_ACCESS_KEY_ID: 'AKIAIOSFODNN7EXAMPLE',
          AWS_SECRET_ACCESS_KEY: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
          CACHE_SIGNING_KEY: '-----BEGIN PRIVATE KEY-----\nabc\n-----END PRIVATE KEY-----\n',
          CACHE_LOCAL_DIR: '',
          GITHUB_TOKEN: 'not ours',
        },
      },
    );
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    const { data, kind } = parse(stdout) as { kind: string; data: Record<string, string> };
    const plain = Object.entries(data).map(([name, value]) => [
      name,
      Buffer.from(value, 'base64').toString(),
    ]);
    expect({ kind, ...Object.fromEntries(plain) }).toEqual({ kind: 'Secret', ...stringData });
  }
});
