/** Where entries may live and what they may be called: directories, tiers, compressions, recipes of one's own, fallbacks. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  symlinkSync,
  truncateSync,
} from 'node:fs';
import { join } from 'node:path';
import zlib from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  cacheLines,
  DEPS,
  expectExit,
  makeProject,
  treeOf,
  useSandbox,
  wipe,
  writeFiles,
} from './support.ts';

const sandbox = useSandbox();
const OFF = { CACHE_S3_BUCKET: undefined };
const hasZstd = 'zstdCompressSync' in zlib;

describe('CACHE_LOCAL_DIR', () => {
  const local = () => join(sandbox.folder, 'store');

  it('alone: save, restore, list, inspect and prune, without a network', async () => {
    makeProject(sandbox.project);
    const before = treeOf(join(sandbox.project, 'deps'));
    const env = { ...OFF, CACHE_LOCAL_DIR: local() };
    const run = (...args: string[]) => sandbox.run(args, { env });
    expect(expectExit(await run('save', ...DEPS), 0).stdout).toMatch(
      new RegExp(`^deps saved to ${local()}/claude-sandbox-cache/deps-`),
    );
    wipe(sandbox.project, 'deps');
    expect(expectExit(await run('restore', ...DEPS), 0).stdout).toMatch(/^deps restored from local cache \(/);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(expectExit(await run('list'), 0).stdout).toMatch(/^1 entry, /m);
    const name = readdirSync(join(local(), 'claude-sandbox-cache')).find((path) => path.endsWith('.tar.gz'))!;
    expect(expectExit(await run('inspect', name), 0).stdout).toContain('deps/tool/run.sh');
    expect(expectExit(await run('inspect', ...DEPS), 0).stdout).toContain('deps/tool/run.sh');
    expect(expectExit(await run('inspect', 'deps'), 2).stderr).toContain(
      'add --lockfile <file> --path <dir>',
    );
    expectExit(await run('prune', '--keep', '0', '--yes'), 0);
    expect(expectExit(await run('list'), 0).stdout).toBe('No entries.\n');
    expect(sandbox.server.requests).toEqual([]);
  });

  it('a relative path is one in the project', async () => {
    makeProject(sandbox.project);
    const env = { ...OFF, CACHE_LOCAL_DIR: '../store' };
    expectExit(
      await sandbox.run(['-C', sandbox.project, 'save', ...DEPS], { env, cwd: '/', home: sandbox.folder }),
      0,
    );
    expect(existsSync(join(local(), 'claude-sandbox-cache'))).toBe(true);
  });

  it.each([
    ['in a target', 'deps/store', []],
    ['a target', 'deps', []],
    ['around a target', '.', []],
    ['in a target, through links', 'link/store', ['deps', 'link']],
    ['around a target that is a link', '../outside', ['../outside/deps', 'deps']],
  ])('%s: refused before anything is restored, installed or saved', async (_, dir, link) => {
    makeProject(sandbox.project);
    const [to, from] = link;
    if (from === 'deps') {
      mkdirSync(join(sandbox.folder, 'outside'));
      renameSync(join(sandbox.project, 'deps'), join(sandbox.folder, 'outside/deps'));
    }
    if (to !== undefined && from !== undefined) symlinkSync(to, join(sandbox.project, from));
    const before = treeOf(sandbox.project);
    const ensure = ['ensure', ...DEPS, '--', 'sh', '-c', 'rm -r deps/*'];
    for (const s3 of [OFF, {}]) {
      const env = { ...s3, CACHE_LOCAL_DIR: dir };
      for (const args of [['save', ...DEPS], ['restore', ...DEPS], ensure, ['warm', ...DEPS]]) {
        const { stderr, stdout } = expectExit(await sandbox.run(args, { env }), 2);
        expect(stdout).toBe('');
        expect(stderr).toMatch(
          /^\[cache\] error: CACHE_LOCAL_DIR \([^\n]*\) (lies in|holds) deps, [^\n]* \[CONFIG_INVALID\]\n$/,
        );
      }
    }
    expect(treeOf(sandbox.project)).toEqual(before);
    expect(sandbox.server.requests).toEqual([]);
  });

  it('in front of S3: a broken directory costs a warning, not the restore', async () => {
    makeProject(sandbox.project);
    writeFiles(sandbox.folder, { file: 'in the way' });
    const env = { CACHE_LOCAL_DIR: join(sandbox.folder, 'file') };
    const saved = expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expect(saved.stderr).toMatch(/^\[cache\] warning: No local copy: /);
    expect(sandbox.keys).toHaveLength(1);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS], { env }), 0);
  });
});

describe('CACHE_COMPRESSION', () => {
  it('false: a plain tar, that tar lists', async () => {
    makeProject(sandbox.project);
    const before = treeOf(join(sandbox.project, 'deps'));
    const env = { CACHE_COMPRESSION: 'false' };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expect(sandbox.key).toMatch(/\.tar$/);
    const input = sandbox.server.read(sandbox.bucket, sandbox.key)!;
    expect(execFileSync('tar', ['-tf', '-'], { input, encoding: 'utf8' })).toContain('deps/tool/run.sh\n');
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS]), 1);
    expectExit(await sandbox.run(['restore', ...DEPS], { env }), 0);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(expectExit(await sandbox.run(['inspect', sandbox.key]), 0).stdout).toContain('deps/tool/run.sh');
  });

  it.skipIf(!hasZstd)('zstd: where this Node has it', async () => {
    makeProject(sandbox.project, { bigBytes: 3_000_000 });
    const before = treeOf(join(sandbox.project, 'deps'));
    const env = { CACHE_COMPRESSION: 'zstd' };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    expect(sandbox.key).toMatch(/\.tar\.zst$/);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS], { env }), 0);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
  });

  it.skipIf(hasZstd)(
    'zstd: a clear error where this Node has none; ensure installs all the same',
    async () => {
      makeProject(sandbox.project);
      const env = { CACHE_COMPRESSION: 'zstd' };
      for (const args of [
        ['save', ...DEPS],
        ['restore', ...DEPS],
      ]) {
        const result = expectExit(await sandbox.run(args, { env }), 2);
        expect(result.stderr).toMatch(/^\[cache\] error: [^\n]*zstd[^\n]*Node[^\n]* \[CONFIG_INVALID\]\n$/);
      }
      expect(sandbox.keys).toEqual([]);
    },
  );
});

describe('recipes of one’s own', () => {
  it('several lockfiles and directories; each of them counts', async () => {
    const pip = [
      'pip',
      '--lockfile',
      'a.txt',
      '--lockfile',
      'b.txt',
      '--path',
      'venv',
      '--path',
      'tools/bin',
    ];
    writeFiles(sandbox.project, {
      'a.txt': 'a',
      'b.txt': 'b',
      'venv/x': 'x',
      'tools/bin/y': '#!/bin/sh\n',
      'tools/other': 'o',
    });
    expectExit(await sandbox.run(['save', ...pip]), 0);
    wipe(sandbox.project, 'venv', 'tools');
    expectExit(await sandbox.run(['restore', ...pip]), 0);
    expect(readFileSync(join(sandbox.project, 'venv/x'), 'utf8')).toBe('x');
    expect(existsSync(join(sandbox.project, 'tools/bin/y'))).toBe(true);
    expect(existsSync(join(sandbox.project, 'tools/other'))).toBe(false);
    writeFiles(sandbox.project, { 'b.txt': 'c' });
    expectExit(await sandbox.run(['restore', ...pip]), 1);
    wipe(sandbox.project, 'b.txt');
    const missing = expectExit(await sandbox.run(['restore', ...pip]), 1);
    expect(missing.stderr).toMatch(/^\[cache\] warning: .*b\.txt/);
  });

  it('list and prune know a name by what is stored under it, and those of .sandbox-cache.json', async () => {
    const clear = ['prune', 'deps', '--older-than', '30d'];
    const cleared = expectExit(await sandbox.run(clear), 0);
    expect(cleared.stdout).toBe('Deleted 0 of 0 entries, 0 bytes; 0 bytes left\n');
    expect(cleared.stderr).toMatch(
      /^\[cache\] warning: There is no recipe "deps", nor any entry of that name\. Known are /,
    );
    expectExit(await sandbox.run(['list', 'deps']), 2);
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    expect(expectExit(await sandbox.run(['list', 'deps']), 0).stdout).toMatch(/^1 entry, /m);
    const recipes = { dep: { lockfiles: ['deps.lock'], paths: ['deps'] } };
    writeFiles(sandbox.project, { '.sandbox-cache.json': JSON.stringify({ recipes }) });
    expect(expectExit(await sandbox.run(['list', 'dep']), 0).stdout).toBe('No entries.\n');
    const typo = expectExit(await sandbox.run(['list', 'depp']), 2);
    expect(typo.stderr).toContain('Did you mean dep?');
  });

  it('those of .sandbox-cache.json are known to key --hash and inspect as well', async () => {
    const pip = { lockfiles: ['a.txt'], paths: ['venv'], runtime: ['echo', 'py3'] };
    writeFiles(sandbox.project, {
      '.sandbox-cache.json': JSON.stringify({ recipes: { pip } }),
      'a.txt': 'a',
      'venv/x': 'x',
    });
    expectExit(await sandbox.run(['save']), 0);
    expect(sandbox.key).toMatch(/-py3\.tar\.gz$/);
    const hash = createHash('sha256').update('a').digest('hex').slice(0, 16);
    expect((await sandbox.run(['key', 'pip', '--hash', hash])).stdout).toBe(`${sandbox.key}\n`);
    expect(expectExit(await sandbox.run(['inspect', 'pip']), 0).stdout).toContain('venv/x');
  });

  it('ensure takes the command after --, and saves what it made', async () => {
    writeFiles(sandbox.project, { 'deps.lock': 'one' });
    const args = ['ensure', ...DEPS, '--', 'sh', '-c', 'mkdir deps && echo made >deps/x'];
    expect(expectExit(await sandbox.run(args), 0).stdout).toMatch(/^deps ready: installed and saved/);
    wipe(sandbox.project, 'deps');
    expect(expectExit(await sandbox.run(args), 0).stdout).toMatch(/^deps restored from S3 cache/);
    expect(expectExit(await sandbox.run(args), 0).stdout).toMatch(/^deps ready: already in place/);
    wipe(sandbox.project, 'deps');
    writeFiles(sandbox.project, { 'deps.lock': 'two' });
    const none = expectExit(await sandbox.run(['ensure', ...DEPS]), 2);
    expect(none.stderr).toMatch(/^\[cache\] error: deps has no install command of its own.* \[USAGE\]\n$/);
  });
});

it('neither receipt nor marker is saved: they say of this machine what it has verified', async () => {
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  wipe(sandbox.project, 'deps');
  expectExit(await sandbox.run(['restore', ...DEPS]), 0);
  for (const name of ['.sandbox-cache-receipt.json', '.installed'])
    expect(existsSync(join(sandbox.project, 'deps', name))).toBe(true);
  expectExit(await sandbox.run(['save', ...DEPS, '--force']), 0);
  const names = execFileSync('tar', ['-tzf', '-'], {
    input: sandbox.server.read(sandbox.bucket, sandbox.key)!,
    encoding: 'utf8',
  });
  expect(names).toContain('deps/tool/run.sh\n');
  expect(names).not.toMatch(/sandbox-cache|installed/);
});

describe('restore --fallback', () => {
  it('the newest older entry of the same runtime as a base: exit 1, no receipt, and the exact one later', async () => {
    makeProject(sandbox.project, { lock: 'one\n' });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    makeProject(sandbox.project, { lock: 'two\n' });
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS]), 1);
    expect(existsSync(join(sandbox.project, 'deps'))).toBe(false);

    const result = expectExit(await sandbox.run(['restore', ...DEPS, '--fallback', '-v']), 1);
    expect(result.stdout).toMatch(/^deps restored from an older entry as a base for the install: /);
    expect(cacheLines(result).some((line) => line.startsWith('Cache miss for deps'))).toBe(true);
    expect(existsSync(join(sandbox.project, 'deps/tool/run.sh'))).toBe(true);
    expect(existsSync(join(sandbox.project, 'deps/.sandbox-cache-receipt.json'))).toBe(false);
    expect(existsSync(join(sandbox.project, 'deps/.installed'))).toBe(false);

    writeFiles(sandbox.project, { 'deps/new': 'new' });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    expect(sandbox.keys).toHaveLength(2);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS, '--fallback']), 0);
    expect(existsSync(join(sandbox.project, 'deps/new'))).toBe(true);
  });

  it('an entry of another compression is no base', async () => {
    makeProject(sandbox.project, { lock: 'one\n' });
    expectExit(await sandbox.run(['save', ...DEPS], { env: { CACHE_COMPRESSION: 'none' } }), 0);
    makeProject(sandbox.project, { lock: 'two\n' });
    wipe(sandbox.project, 'deps');
    const result = expectExit(await sandbox.run(['restore', ...DEPS, '--fallback']), 1);
    expect(result.stdout).toMatch(/not in the cache/);
    expect(existsSync(join(sandbox.project, 'deps'))).toBe(false);
  });

  it('another runtime is no base', async () => {
    makeProject(sandbox.project, { lock: 'one\n' });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const { key } = sandbox;
    const objects = sandbox.server.bucket(sandbox.bucket).objects;
    const other = key.replace(/-linux.*(?=\.tar)/, '-other-riscv64');
    objects.set(other, { ...objects.get(key)!, key: other });
    objects.delete(key);
    makeProject(sandbox.project, { lock: 'two\n' });
    wipe(sandbox.project, 'deps');
    expect(expectExit(await sandbox.run(['restore', ...DEPS, '--fallback']), 1).stdout).toMatch(
      /not in the cache/,
    );
    expect(existsSync(join(sandbox.project, 'deps'))).toBe(false);
  });
});

describe('key', () => {
  it('--explain: what the key is made of, and on a miss what differs', async () => {
    makeProject(sandbox.project, { lock: 'one\n' });
    const explain = async (env = {}) =>
      expectExit(await sandbox.run(['key', ...DEPS, '--explain'], { env }), 0).stdout;
    expect(await explain()).toMatch(/stored +no, nor any other entry of this recipe$/m);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    expect(await explain()).toMatch(/stored +yes: .* old$/m);
    makeProject(sandbox.project, { lock: 'two\n' });
    expect(await explain()).toMatch(/differs in hash: [0-9a-f]{16} there, [0-9a-f]{16} here/);
    expect(await explain({ CACHE_COMPRESSION: 'false' })).toMatch(
      /differs in compression: \.tar\.gz there, \.tar here/,
    );
    expect(await explain({ CACHE_KEY_SALT: 'a b' })).toContain('"a b" (CACHE_KEY_SALT)');
    expect(await explain({ AWS_SECRET_ACCESS_KEY: 'wrong' })).toMatch(/stored +not known: /);
    expect(await explain(OFF)).toMatch(/stored +not known: CACHE_S3_BUCKET is not set$/m);
  });

  it('one lockfile and nothing else: the hash is the beginning of what sha256sum prints', async () => {
    makeProject(sandbox.project);
    const sum = execFileSync('sha256sum', [join(sandbox.project, 'deps.lock')], { encoding: 'utf8' }).slice(
      0,
      16,
    );
    const key = async (env: Record<string, string>): Promise<string> =>
      expectExit(await sandbox.run(['key', ...DEPS], { env }), 0).stdout.trim();
    expect(await key({})).toContain(`/deps-${sum}-`);
    expect(await key({ CACHE_KEY_RUNTIME: 'false' })).toBe(`claude-sandbox-cache/deps-${sum}.tar.gz`);
    expect(await key({ CACHE_KEY_SALT: 'x' })).not.toContain(sum);
  });
});

it('save --background says at once that there is nothing to save, as save does', async () => {
  const missing = expectExit(await sandbox.run(['save', ...DEPS, '--background']), 1);
  expect(missing).toMatchObject({
    stdout: '',
    stderr: '[cache] warning: No deps.lock here: nothing to do for deps\n',
  });
  makeProject(sandbox.project);
  wipe(sandbox.project, 'deps');
  const empty = expectExit(await sandbox.run(['save', ...DEPS, '--background']), 1);
  expect(empty.stdout).toBe('deps not saved: nothing is installed in deps\n');
});

it('save --background returns at once, and the entry comes', async () => {
  makeProject(sandbox.project);
  const result = expectExit(await sandbox.run(['save', ...DEPS, '--background']), 0);
  expect(result.stdout).toMatch(/^deps being saved in the background \(process \d+\)\n$/);
  await expect.poll(() => sandbox.keys, { timeout: 20_000 }).toHaveLength(1);
  const receipt = join(sandbox.project, 'deps/.sandbox-cache-receipt.json');
  await expect.poll(() => existsSync(receipt), { timeout: 20_000 }).toBe(true);
  expect(expectExit(await sandbox.run(['restore', ...DEPS]), 0).stderr).toBe('');
});

it('the next run tells, once, that save --background failed', async () => {
  makeProject(sandbox.project);
  sandbox.server.faults.add({
    match: ({ method }) => method === 'PUT' || method === 'POST',
    times: 100,
    effect: { type: 'error', status: 403, code: 'AccessDenied', message: 'no' },
  });
  expectExit(await sandbox.run(['save', ...DEPS, '--background']), 0);
  const reports = (): string[] =>
    readdirSync(sandbox.notesDir).map((name) => readFileSync(join(sandbox.notesDir, name), 'utf8'));
  await expect.poll(reports, { timeout: 20_000 }).toEqual([expect.stringMatching(/\}\n$/)]);
  sandbox.server.faults.clear();

  const told = /^\[cache\] warning: The last save --background of deps failed: [^\n]*s3:PutObject[^\n]*\n$/;
  expect(expectExit(await sandbox.run(['restore', ...DEPS]), 1).stderr).toMatch(told);
  expect(expectExit(await sandbox.run(['save', ...DEPS]), 0).stderr).toBe('');
});

it('a tree that no receipt can be written into is saved all the same, with a warning', async () => {
  makeProject(sandbox.project);
  // In the way, as in a tree that may not be written to.
  writeFiles(sandbox.project, { 'deps/.sandbox-cache-receipt.json/file': '' });
  const result = expectExit(await sandbox.run(['save', ...DEPS]), 0);
  expect(result.stdout).toMatch(/^deps saved to s3:/);
  expect(result.stderr).toMatch(/^\[cache\] warning: s3:.* was saved, but the receipt of it was not: .*\n$/);
  expect(sandbox.keys).toHaveLength(1);
});

it('a lockfile that changes while it is packed: nothing is saved', async () => {
  // More than the four parts of 8 MiB that are read ahead: the packing cannot end before the upload has begun.
  makeProject(sandbox.project, { bigBytes: 50_000_000 });
  sandbox.server.faults.add({
    match: ({ operation }) => operation === 'CreateMultipartUpload',
    effect: { type: 'before', run: () => writeFiles(sandbox.project, { 'deps.lock': 'changed\n' }) },
  });
  const result = expectExit(await sandbox.run(['save', ...DEPS]), 3);
  expect(result.stderr).toMatch(
    /^\[cache\] error: deps\.lock changed while deps was being packed.* \[SOURCE_CHANGED\]\n$/,
  );
  expect(sandbox.keys).toEqual([]);
  expect(sandbox.uploads).toBe(0);
});

describe('a tree above the limits that restores have', () => {
  const saves = ['CreateMultipartUpload', 'UploadPart', 'PutObject'];

  it.each([
    ['CACHE_MAX_FILES', '4'],
    ['CACHE_MAX_BYTES', '5019'],
  ])('%s: refused before a byte is sent; at the limit it is saved and restores', async (variable, below) => {
    // Five entries with the directory itself, 5,020 bytes.
    makeProject(sandbox.project);
    const before = treeOf(join(sandbox.project, 'deps'));
    const refused = expectExit(await sandbox.run(['save', ...DEPS], { env: { [variable]: below } }), 3);
    expect(refused.stderr).toMatch(
      new RegExp(
        `^\\[cache\\] error: The tree has more than ${below} [^\\n]*raise ${variable} [^\\n]* \\[ARCHIVE_LIMIT\\]\\n$`,
      ),
    );
    for (const operation of saves) expect(sandbox.server.count(operation)).toBe(0);
    expect(sandbox.keys).toEqual([]);

    const env = { CACHE_MAX_FILES: '5', CACHE_MAX_BYTES: '5020' };
    expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
    wipe(sandbox.project, 'deps');
    expectExit(await sandbox.run(['restore', ...DEPS], { env }), 0);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
  });

  it('CACHE_MAX_RATIO: told while it is sent, and the upload is aborted', async () => {
    makeProject(sandbox.project, { bigBytes: 40_000_000 });
    writeFiles(sandbox.project, { 'deps/zeros': '' });
    truncateSync(join(sandbox.project, 'deps/zeros'), 40_000_000);
    const refused = expectExit(await sandbox.run(['save', ...DEPS], { env: { CACHE_MAX_RATIO: '1' } }), 3);
    expect(refused.stderr).toMatch(/raise CACHE_MAX_RATIO .* \[ARCHIVE_LIMIT\]\n$/);
    expect(sandbox.server.count('AbortMultipartUpload')).toBe(1);
    expect(sandbox.uploads).toBe(0);
    expect(sandbox.keys).toEqual([]);
  });

  it('ensure: a warning, for the dependencies are there', async () => {
    writeFiles(sandbox.project, { 'deps.lock': 'one\n' });
    const env = { CACHE_MAX_FILES: '1' };
    const install = ['--', 'sh', '-c', 'mkdir deps && touch deps/file'];
    const result = expectExit(await sandbox.run(['ensure', ...DEPS, ...install], { env }), 0);
    expect(result.stderr).toMatch(/^\[cache\] warning: The tree has more than 1 entries, .*CACHE_MAX_FILES/m);
    expect(sandbox.keys).toEqual([]);
  });
});
