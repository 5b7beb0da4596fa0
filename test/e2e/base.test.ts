/** `ensure` and `warm` on a miss: an install on top of the nearest older entry, with the real npm and a registry of our own. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { npm, npmEnv } from '../recipes/npm/npm-tree.ts';
import { type Published, type Registry, startRegistry } from '../recipes/registry.ts';
import { type TreeEntry, withoutTimes } from '../support/tree.ts';
import { type CliResult, debris, expectExit, tool, treeOf, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();

const published = (name: string, version: string, more: object = {}, files = {}): Published => ({
  manifest: { name, version, ...more },
  files: { 'index.js': `// ${name} ${version}\n`, ...files },
});

/** Each version with the same script. */
const scripted = (name: string, postinstall: string): Published[] =>
  ['1.0.0', '2.0.0'].map((version) =>
    published(name, version, { scripts: { postinstall: postinstall.replaceAll('VERSION', version) } }),
  );

/** So large that an entry with them is worth copying from. */
const LARGE = ['large-a', 'large-b', 'large-c', 'large-d', 'large-e', 'large-f', 'large-g', 'large-h'];
const PLAIN = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'];
const PACKAGES: readonly Published[] = [
  ...PLAIN.flatMap((name) => [published(name, '1.0.0'), published(name, '2.0.0')]),
  ...LARGE.map((name) =>
    published(name, '1.0.0', {}, { 'data.txt': randomBytes(1_500_000).toString('base64') }),
  ),
  published(
    'tool',
    '1.0.0',
    { bin: { tool: 'cli.js', 'tool-old': 'cli.js' } },
    { 'cli.js': '#!/bin/sh\necho 1\n' },
  ),
  published('tool', '2.0.0', { bin: { tool: 'cli.js' } }, { 'cli.js': '#!/bin/sh\necho 2\n' }),
  ...scripted('reader', 'cat ../a/index.js >seen'),
  ...scripted('stray', 'mkdir -p ../.made && echo VERSION >../.made/version'),
  ...scripted('writer', 'echo VERSION >../b/written'),
  ...scripted('patcher', 'echo "// patched" >>../b/index.js'),
  ...scripted('only-ci', 'test "$npm_command" = ci'),
];

let registry: Registry;
beforeAll(async () => void (registry = await startRegistry(PACKAGES)));
afterAll(() => registry.close());

type Dependencies = Record<string, string>;

const plain: Dependencies = Object.fromEntries(PLAIN.map((name) => [name, '1.0.0']));

const path = (name: string): string => join(sandbox.project, name);
const env = (): Record<string, string> => npmEnv(join(sandbox.folder, 'npm-home'), registry);

/** package.json and the lockfile for it, which npm makes elsewhere: beside a tree it writes into its record of that. */
async function want(dependencies: Dependencies): Promise<void> {
  const manifest = JSON.stringify({ name: 'root', version: '1.0.0', dependencies });
  let lockfile = lockfiles.get(manifest);
  if (lockfile === undefined) {
    const elsewhere = join(sandbox.folder, 'elsewhere');
    writeFiles(elsewhere, { 'package.json': manifest });
    await npm({ dir: elsewhere, env: env() }, 'install', '--package-lock-only');
    lockfile = readFileSync(join(elsewhere, 'package-lock.json'), 'utf8');
    lockfiles.set(manifest, lockfile);
  }
  writeFiles(sandbox.project, { 'package.json': manifest, 'package-lock.json': lockfile });
}

/** By their manifests: npm takes its time. */
const lockfiles = new Map<string, string>();

const run = (args: string[], extra: Record<string, string> = {}): Promise<CliResult> =>
  sandbox.run(args, { env: { ...env(), CACHE_VERBOSE: 'true', ...extra } });

/** @returns all that was printed */
async function ensure(extra: Record<string, string> = {}, ...args: string[]): Promise<string> {
  const { stdout, stderr } = expectExit(await run(['ensure', 'npm', ...args], extra), 0);
  expect(debris(sandbox.project)).toEqual([]);
  return stderr + stdout;
}

/** What `npm ci` makes of the project. */
async function fromNothing(): Promise<Record<string, TreeEntry>> {
  const dir = join(sandbox.folder, 'from-nothing');
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir);
  for (const name of ['package.json', 'package-lock.json']) cpSync(path(name), join(dir, name));
  await npm({ dir, env: env() }, 'ci');
  return withoutTimes(treeOf(join(dir, 'node_modules')));
}

async function expectExact(): Promise<void> {
  expect(withoutTimes(treeOf(path('node_modules')))).toEqual(await fromNothing());
}

const BUILT =
  /^Node packages ready: (\d+) of (\d+) packages taken from (\S+), the rest installed in .* s; saved/m;
const FROM_NOTHING = /^Node packages ready: installed and saved/m;

/** An entry for these dependencies, and then no tree. */
async function makeEntry(dependencies: Dependencies, extra: Record<string, string> = {}): Promise<string> {
  await want(dependencies);
  const before = new Set(sandbox.keys);
  expect(await ensure(extra)).toMatch(/installed and saved|; saved/);
  wipe(sandbox.project, 'node_modules');
  return sandbox.keys.find((key) => !before.has(key))!;
}

/** Says in an entry's metadata that it is so many steps from an install from nothing. */
function relabel(key: string, steps: number): void {
  const { server, bucket } = sandbox;
  const { headers } = server.bucket(bucket).objects.get(key)!;
  const metadata = Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      name.startsWith('x-amz-meta-') ? [[name.slice('x-amz-meta-'.length), value]] : [],
    ),
  );
  metadata['sandbox-cache-lineage'] = metadata['sandbox-cache-lineage']!.replace(/^1 \d+/, `1 ${steps}`);
  server.place(bucket, { key, body: Buffer.from(server.read(bucket, key)!), metadata });
}

/** The hash in the key of today's lockfile, all else being as usual. */
function keyHash(): string {
  return createHash('sha256')
    .update(readFileSync(path('package-lock.json')))
    .digest('hex')
    .slice(0, 16);
}

const git = (...args: string[]): Promise<string> =>
  tool('git', ['-c', 'user.name=test', '-c', 'user.email=test@test', ...args], { cwd: sandbox.project });

describe('an install on top of an older entry', () => {
  it('takes what did not change from it, and makes the tree that npm ci makes', async () => {
    const base = await makeEntry({ ...plain, tool: '1.0.0' });
    await want({ ...plain, b: '2.0.0', tool: '2.0.0' });
    const output = await ensure();
    expect(BUILT.exec(output)?.slice(1)).toEqual(['7', '9', base]);
    expect(output).not.toMatch(/Cache hit!|Cache restored successfully/);
    await expectExact();
    expect(existsSync(path('node_modules/.bin/tool-old'))).toBe(false);
    wipe(sandbox.project, 'node_modules');
    expect(await ensure()).toMatch(/^Node packages restored from S3/m);
    await expectExact();
  });

  it.each([
    ['reader', 'a script that reads a package that changed'],
    ['stray', 'a script that writes beside the packages'],
  ])('is exact with %s: %s', async (name) => {
    await makeEntry({ ...plain, tool: '1.0.0', [name]: '1.0.0' });
    await want({ ...plain, tool: '1.0.0', a: '2.0.0', [name]: '1.0.0' });
    expect(await ensure()).toMatch(BUILT);
    await expectExact();
    await want({ ...plain, tool: '1.0.0', a: '2.0.0' });
    expect(await ensure()).toMatch(BUILT);
    await expectExact();
  });

  it.each(['writer', 'patcher'])(
    'is not tried on a tree whose packages a script has changed (%s)',
    async (name) => {
      await makeEntry({ ...plain, tool: '1.0.0', [name]: '1.0.0' });
      await want({ ...plain, tool: '1.0.0', a: '2.0.0', [name]: '1.0.0' });
      expect(await ensure()).toMatch(FROM_NOTHING);
      await expectExact();
    },
  );

  it('leaves no base behind when a new script changes a package that was kept', async () => {
    const base = await makeEntry({ ...plain, tool: '1.0.0' });
    await want({ ...plain, tool: '1.0.0', patcher: '1.0.0' });
    expect(await ensure()).toMatch(BUILT);
    await expectExact();
    wipe(sandbox.project, 'node_modules');
    await want({ ...plain, a: '2.0.0', tool: '1.0.0', patcher: '1.0.0' });
    expect(BUILT.exec(await ensure())?.[3]).toBe(base);
    await expectExact();
  });

  it('installs patched packages anew, and only builds on the same patches', async () => {
    writeFiles(sandbox.project, { 'patches/b+1.0.0.patch': 'one' });
    await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    expect(BUILT.exec(await ensure())?.[1]).toBe('6');
    wipe(sandbox.project, 'node_modules');
    writeFiles(sandbox.project, { 'patches/b+1.0.0.patch': 'two' });
    await want({ ...plain, c: '2.0.0' });
    expect(await ensure()).toMatch(FROM_NOTHING);
  });

  it('installs from nothing where it goes wrong, and says why', async () => {
    await makeEntry(plain);
    await want({ ...plain, a: '2.0.0', 'only-ci': '1.0.0' });
    const output = await ensure();
    expect(output).toMatch(/warning: Installing from nothing: npm install --no-save ended with 1/);
    expect(output).toMatch(FROM_NOTHING);
    await expectExact();
  });

  it('installs from nothing where the older entry is damaged', async () => {
    await makeEntry(plain);
    sandbox.alter((body) => body.fill(0, 1000, 1064));
    await want({ ...plain, a: '2.0.0' });
    const output = await ensure();
    expect(output).toMatch(/warning: Installing from nothing: .*ARCHIVE|damaged|corrupt/i);
    expect(output).toMatch(FROM_NOTHING);
  });

  it('that is killed leaves a tree that nobody takes for installed', async () => {
    await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    const bin = join(sandbox.folder, 'bin');
    writeFiles(bin, { npm: '#!/bin/sh\necho $$ >pid; echo begun; exec sleep 600\n' });
    const running = await sandbox.start(['ensure', 'npm'], {
      env: { ...env(), PATH: `${bin}:${process.env['PATH']}` },
    });
    await running.printed('begun');
    running.child.kill('SIGKILL');
    process.kill(Number(readFileSync(path('pid'), 'utf8')), 'SIGKILL');
    await running.done;
    expect(existsSync(path('node_modules/b/index.js'))).toBe(true);
    expect(expectExit(await run(['save', 'npm']), 4).stderr).toContain('last install did not end well');
    wipe(sandbox.project, 'pid');
    expect(await ensure()).toMatch(BUILT);
    await expectExact();
  });
});

describe('the older entry', () => {
  it('is that of an earlier version of the lockfile in git, without a listing', async () => {
    await want(plain);
    await git('init', '-q');
    await git('add', 'package.json', 'package-lock.json');
    await git('commit', '-qm', 'one');
    await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    await git('commit', '-qam', 'two');
    await want({ ...plain, a: '2.0.0', b: '2.0.0' });
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'ListObjectsV2',
      times: 1000,
      effect: { type: 'error', status: 403, code: 'AccessDenied' },
    });
    // Nor may this user tell a missing entry from one that is forbidden.
    const stored = sandbox.keys;
    sandbox.server.faults.add({
      match: ({ operation, key }) => operation === 'GetObject' && !stored.includes(key ?? ''),
      times: 3,
      effect: { type: 'error', status: 403, code: 'AccessDenied' },
    });
    const output = await ensure();
    expect(output).toMatch(BUILT);
    // The entry that was looked for, and no older one.
    expect(output.match(/is taken for missing/g)).toHaveLength(1);
  });

  it('is found where git is broken, and runs nothing that a checkout configures', async () => {
    await makeEntry(plain);
    await git('init', '-q');
    writeFiles(sandbox.project, { 'evil.sh': '#!/bin/sh\ntouch evil-ran\n' });
    const evil = path('evil.sh');
    for (const name of ['core.fsmonitor', 'core.pager', 'gpg.program', 'core.sshCommand', 'core.hooksPath'])
      await git('config', name, evil);
    await git('config', 'log.showSignature', 'true');
    await want({ ...plain, a: '2.0.0' });
    expect(await ensure()).toMatch(BUILT);
    expect(existsSync(path('evil-ran'))).toBe(false);
  });

  it.each([
    ['--no-fallback', ['--no-fallback'], {}],
    ['CACHE_FALLBACK=false', [], { CACHE_FALLBACK: 'false' }],
    ['other settings of npm', [], { npm_config_omit: 'dev' }],
    ['another salt', [], { CACHE_KEY_SALT: 'other' }],
  ] as [string, string[], Record<string, string>][])('is none with %s', async (_, args, extra) => {
    await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    expect(await ensure(extra, ...args)).toMatch(FROM_NOTHING);
  });

  it('is none where it was saved by hand', async () => {
    await want(plain);
    await npm({ dir: sandbox.project, env: env() }, 'ci');
    expectExit(await run(['save', 'npm']), 0);
    wipe(sandbox.project, 'node_modules');
    await want({ ...plain, a: '2.0.0' });
    expect(await ensure()).toMatch(FROM_NOTHING);
  });

  it('is none where too little of it is wanted', async () => {
    await makeEntry(plain);
    await want(Object.fromEntries(PLAIN.map((name, n) => [name, n < 6 ? '2.0.0' : '1.0.0'])));
    expect(await ensure()).toMatch(FROM_NOTHING);
  });

  it('is none with an install command of the user’s own', async () => {
    await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    const output = await ensure({}, '--', 'npm', 'ci');
    expect(output).toMatch(FROM_NOTHING);
    wipe(sandbox.project, 'node_modules');
    await want({ ...plain, a: '2.0.0', b: '2.0.0' });
    // Nobody knows what that command did.
    expect(BUILT.exec(await ensure())?.[1]).toBe('6');
  });

  it('is none after ten incremental installs', async () => {
    const key = await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    relabel(key, 10);
    expect(await ensure({}, '--json')).toContain('"by": "install"');
    for (const other of sandbox.keys.filter((one) => one !== key))
      sandbox.server.bucket(sandbox.bucket).objects.delete(other);
    wipe(sandbox.project, 'node_modules');
    relabel(key, 9);
    expect(await ensure()).toMatch(BUILT);
  });

  it('has to be signed where signatures are asked for, with all that is said of it', async () => {
    const pair = join(sandbox.folder, 'pair');
    expectExit(await sandbox.run(['keygen', pair]), 0);
    const signed = { CACHE_SIGNING_KEY: `${pair}.key`, CACHE_VERIFY_KEY: `${pair}.pub` };
    const unsigned = await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    expect(await ensure(signed)).toMatch(FROM_NOTHING);
    wipe(sandbox.project, 'node_modules');
    await want({ ...plain, a: '2.0.0', b: '2.0.0' });
    const built = await ensure(signed);
    expect(built).toMatch(BUILT);
    expect(BUILT.exec(built)?.[3]).not.toBe(unsigned);
    // Whoever may write to the bucket says that the entry is nearer than it is.
    for (const key of sandbox.keys) relabel(key, 3);
    wipe(sandbox.project, 'node_modules');
    await want({ ...plain, a: '2.0.0', b: '2.0.0', c: '2.0.0' });
    expect(await ensure(signed)).toMatch(FROM_NOTHING);
  });
});

describe('the save after it', () => {
  const large = Object.fromEntries(LARGE.map((name) => [name, '1.0.0']));
  const sent = (): number =>
    sandbox.server.requests
      .filter(({ operation }) => operation === 'UploadPart' || operation === 'PutObject')
      .reduce((total, { headers }) => total + Number(headers['content-length']), 0);

  it('has S3 copy what the older entry has', async () => {
    await makeEntry({ ...large, a: '1.0.0' });
    await want({ ...large, a: '2.0.0' });
    sandbox.server.requests.length = 0;
    expect(await ensure()).toMatch(BUILT);
    expect(sandbox.server.count('UploadPartCopy')).toBeGreaterThan(0);
    // Two parts of the least length, around what changed and at the end, of some 12 MB.
    expect(sent()).toBeLessThan(8_000_000);
    wipe(sandbox.project, 'node_modules');
    for (const key of sandbox.keys.filter((one) => !one.includes(keyHash())))
      sandbox.server.bucket(sandbox.bucket).objects.delete(key);
    expect(await ensure()).toMatch(/^Node packages restored from S3/m);
    await expectExact();
  });

  it.each([
    ['--no-delta', ['--no-delta'], {}],
    ['CACHE_DELTA=false', [], { CACHE_DELTA: 'false' }],
    ['plain tar', [], { CACHE_COMPRESSION: 'false' }],
  ] as [string, string[], Record<string, string>][])('sends all with %s', async (_, args, extra) => {
    await makeEntry({ ...large, a: '1.0.0' }, extra);
    await want({ ...large, a: '2.0.0' });
    sandbox.server.requests.length = 0;
    expect(await ensure(extra, ...args)).toMatch(BUILT);
    expect(sandbox.server.count('UploadPartCopy')).toBe(0);
    expect(sent()).toBeGreaterThan(12_000_000);
  });

  it('sends all where S3 does not copy, and says so', async () => {
    await makeEntry({ ...large, a: '1.0.0' });
    await want({ ...large, a: '2.0.0' });
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'UploadPartCopy',
      times: 1000,
      effect: { type: 'error', status: 501, code: 'NotImplemented' },
    });
    const output = await ensure();
    expect(output).toMatch(/Nothing was copied from \S+ \(.+\): sending all of it/);
    expect(output).toMatch(BUILT);
    expect(sandbox.uploads).toBe(0);
    wipe(sandbox.project, 'node_modules');
    expect(await ensure()).toMatch(/^Node packages restored from S3/m);
  });
});

describe('warm', () => {
  it('builds on an older entry, and with --clean does not', async () => {
    await makeEntry(plain);
    await want({ ...plain, a: '2.0.0' });
    expect(expectExit(await run(['warm', 'npm']), 0).stdout).toMatch(
      /^Node packages saved to .*; 7 of 8 packages taken from /m,
    );
    await expectExact();
    await want({ ...plain, b: '2.0.0' });
    expect(expectExit(await run(['warm', 'npm', '--clean']), 0).stdout).not.toContain('taken from');
    await expectExact();
  });
});

describe('npm’s record, where a tool has only written the lockfile', () => {
  it('is not believed: the tree is neither taken for installed nor saved', async () => {
    await want(plain);
    await ensure();
    const manifest = JSON.parse(readFileSync(path('package.json'), 'utf8')) as { dependencies: Dependencies };
    writeFileSync(
      path('package.json'),
      JSON.stringify({ ...manifest, dependencies: { ...plain, a: '2.0.0' } }),
    );
    await npm({ dir: sandbox.project, env: env() }, 'install', '--package-lock-only');
    expect(readFileSync(path('node_modules/a/index.js'), 'utf8')).toContain('1.0.0');
    expect(expectExit(await run(['save', 'npm']), 4).stderr).toContain('node_modules/a is 1.0.0');
    expect(await ensure()).toMatch(BUILT);
    await expectExact();
  });
});
