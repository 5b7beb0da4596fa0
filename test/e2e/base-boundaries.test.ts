/** What an install on top of an older entry leaves as it was: the lockfile, mounts, the bucket, and what lies outside of the project. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { npm, npmEnv } from '../recipes/npm/npm-tree.ts';
import { type Registry, startRegistry } from '../recipes/registry.ts';
import { whyNoMounts } from '../workspace/kinds.ts';
import { type CliResult, debris, expectExit, tool, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();
const noMounts = whyNoMounts() !== undefined;

const NAMES = ['a', 'b', 'c', 'd'];
const ones = Object.fromEntries(NAMES.map((name) => [name, '1.0.0']));
const bumped = { ...ones, a: '2.0.0' };
/** So large that an entry with them is worth copying from. */
const large = Object.fromEntries(Array.from({ length: 8 }, (_, n) => [`large-${n}`, '1.0.0']));

let registry: Registry;
beforeAll(async () => {
  const bin = { d: 'cli.js' };
  const published = NAMES.flatMap((name) =>
    ['1.0.0', '2.0.0'].map((version) => ({
      // Without a command of any nobody could tell what scripts have done in the tree.
      manifest: { name, version, ...(name === 'd' ? { bin } : {}) },
      files: { 'cli.js': '#!/bin/sh\n' },
    })),
  );
  const data = (): string => randomBytes(1_500_000).toString('base64');
  const heavy = Object.keys(large).map((name) => ({
    manifest: { name, version: '1.0.0' },
    files: { 'data.txt': data() },
  }));
  registry = await startRegistry([...published, ...heavy]);
});
afterAll(() => registry.close());

const path = (name: string): string => join(sandbox.project, name);
const env = (): Record<string, string> => npmEnv(join(sandbox.folder, 'npm-home'), registry);

const BUILT = /^Node packages ready: \d of \d packages taken from /m;
const FROM_NOTHING = /^Node packages ready: installed and saved/m;

/** package.json and the lockfile for it; made elsewhere, with a workspace of the same name in place of a link. */
async function want(dependencies: Record<string, string>, workspaces: string[] = []): Promise<void> {
  const elsewhere = join(sandbox.folder, 'elsewhere');
  rmSync(elsewhere, { recursive: true, force: true });
  writeFiles(elsewhere, {
    'package.json': JSON.stringify({ name: 'root', version: '1.0.0', dependencies, workspaces }),
    ...Object.fromEntries(workspaces.map((name) => [`${name}/package.json`, WORKSPACE])),
  });
  await npm({ dir: elsewhere, env: env() }, 'install', '--package-lock-only');
  for (const name of ['package.json', 'package-lock.json'])
    writeFileSync(path(name), readFileSync(join(elsewhere, name)));
}

const WORKSPACE = '{"name":"w","version":"1.0.0"}';

const run = (extra: Record<string, string> = {}): Promise<CliResult> =>
  sandbox.run(['ensure', 'npm'], { env: { ...env(), CACHE_VERBOSE: 'true', ...extra } });

async function ensure(extra: Record<string, string> = {}): Promise<string> {
  const { stdout, stderr } = expectExit(await run(extra), 0);
  expect(debris(sandbox.project)).toEqual([]);
  return stderr + stdout;
}

/** An entry, then no tree, and another lockfile. */
async function beginBump(workspaces: string[] = [], more: Record<string, string> = {}): Promise<void> {
  await want({ ...ones, ...more }, workspaces);
  expect(await ensure()).toMatch(FROM_NOTHING);
  wipe(sandbox.project, 'node_modules');
  await want({ ...bumped, ...more }, workspaces);
}

const lockfile = (): string => readFileSync(path('package-lock.json'), 'utf8');

/** An npm that does something else in place of an install on top of an older tree. */
function meddling(script: string): Record<string, string> {
  const bin = join(sandbox.folder, 'bin');
  const dirs = (process.env['PATH'] ?? '').split(':');
  const real = dirs.map((dir) => join(dir, 'npm')).find((file) => existsSync(file));
  writeFiles(bin, { npm: `#!/bin/sh\n[ "$1" = install ] || exec ${real} "$@"\n${script}\n` });
  return { PATH: `${bin}:${process.env['PATH']}` };
}

it.each([
  ['changes it', 'echo >>package-lock.json'],
  ['deletes it and fails', 'rm package-lock.json; exit 1'],
])('puts back the lockfile when the installer %s', async (_, script) => {
  await beginBump();
  const before = lockfile();
  const output = await ensure(meddling(script));
  expect(output).toMatch(/the installer has changed package-lock.json, which is put back/);
  expect(output).toMatch(FROM_NOTHING);
  expect(lockfile()).toBe(before);
});

it('puts back the lockfile when the run is stopped', async () => {
  await beginBump();
  const before = lockfile();
  const extra = meddling('echo >>package-lock.json; echo begun; exec sleep 600');
  const running = await sandbox.start(['ensure', 'npm'], { env: { ...env(), ...extra } });
  await running.printed('begun');
  running.child.kill('SIGTERM');
  await running.done;
  expect(lockfile()).toBe(before);
});

it('says so where the lockfile cannot be put back', async () => {
  await beginBump();
  const failed = await run(meddling('rm package-lock.json; mkdir package-lock.json; exit 1'));
  expect(failed.code).not.toBe(0);
  expect(failed.stderr).toMatch(/has changed package-lock.json, which could not be put back: .*EISDIR/);
});

it.each(['UploadPartCopy', 'CompleteMultipartUpload'])(
  'leaves the bucket as it was when the save is stopped at %s',
  async (operation) => {
    await beginBump([], large);
    const before = sandbox.keys;
    let hits = 0;
    sandbox.server.faults.add({
      match: (request) => request.operation === operation && ++hits > 0,
      times: 1000,
      effect: { type: 'stall' },
    });
    const running = await sandbox.start(['ensure', 'npm'], { env: env() });
    await expect.poll(() => hits, { timeout: 60_000 }).toBeGreaterThan(0);
    running.child.kill('SIGTERM');
    expectExit(await running.done, 143);
    expect(sandbox.uploads).toBe(0);
    expect(sandbox.keys).toEqual(before);
    sandbox.server.faults.clear();
    // The tree was whole before the save, and is saved now.
    expect(await ensure()).toMatch(/^Node packages ready: .*saved/m);
    expect(sandbox.keys).toHaveLength(before.length + 1);
  },
);

it.skipIf(noMounts)('leaves alone what is mounted in the tree', async () => {
  await beginBump();
  const mounted = path('node_modules/.cache');
  mkdirSync(mounted, { recursive: true });
  await tool('mount', ['-t', 'tmpfs', 'none', mounted], { cwd: sandbox.project });
  try {
    writeFileSync(join(mounted, 'precious'), '');
    expect(await ensure()).toMatch(BUILT);
    expect(readdirSync(mounted)).toEqual(['precious']);
  } finally {
    await tool('umount', ['-l', mounted], { cwd: sandbox.project });
  }
});

it('empties outside of the project what npm ci would empty, and touches nothing else', async () => {
  const victim = join(sandbox.folder, 'victim');
  writeFiles(victim, { 'package.json': WORKSPACE, precious: '', 'other/x': '' });
  mkdirSync(path('packages'));
  symlinkSync(victim, path('packages/w'));
  const strangers = { 'node_modules/x/y': '', 'node_modules/.cache/x': '' };
  await beginBump(['packages/w']);
  writeFiles(victim, strangers);
  expect(await ensure()).toMatch(BUILT);
  const left = readdirSync(victim, { recursive: true, encoding: 'utf8' }).sort();
  writeFiles(victim, strangers);
  await npm({ dir: sandbox.project, env: env() }, 'ci');
  const leftByNpm = readdirSync(victim, { recursive: true, encoding: 'utf8' }).sort();
  // npm leaves the empty folder.
  expect(leftByNpm.filter((name) => name !== 'node_modules')).toEqual(left);
  expect(left).toEqual(['other', 'other/x', 'package.json', 'precious']);
});
