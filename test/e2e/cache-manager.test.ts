/** bin/cache-manager.sh in place of the old library: the same functions, arguments and results, in scripts of every kind. */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { startProcess } from '../support/cli.ts';
import type { TreeEntry } from '../support/tree.ts';
import { copyTree, describeFixture, sharedFixture } from '../support/fixtures.ts';
import { bundleEnvironment } from '../support/gem-project.ts';
import {
  cacheLines,
  debris,
  DEPS,
  expectExit,
  makeNpmProject,
  makeProject,
  tool,
  treeOf,
  useSandbox,
  wipe,
} from './support.ts';

const BIN = new URL('../../bin/', import.meta.url).pathname;
const LIBRARY = join(BIN, 'cache-manager.sh');
const sandbox = useSandbox();

/** 16 hex digits, as the old library had them. */
function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 16);
}

describe.each([
  ['set -euo pipefail', 'set -euo pipefail'],
  ['no options', ''],
])('sourced under %s', (_, options) => {
  const script = (text: string, env: Record<string, string | undefined> = {}) =>
    sandbox.script(`${options}\nsource "${LIBRARY}"\n${text}`, { env });

  it('changes no shell option', async () => {
    const look = '{ set +o; shopt; }';
    const text = `${options}\n${look} >before 2>&1\nsource "${LIBRARY}"\n${look} >after 2>&1\n`;
    expectExit(await sandbox.script(text), 0);
    const [before, after] = ['before', 'after'].map((name) =>
      readFileSync(join(sandbox.project, name), 'utf8'),
    );
    expect(before!.length).toBeGreaterThan(500);
    expect(after).toBe(before);
  });

  it('cache_is_enabled: a bucket or a directory is set', async () => {
    const text = 'if cache_is_enabled; then echo yes; else echo no; fi';
    expect((await script(text)).stdout).toBe('yes\n');
    expect((await script(text, { CACHE_S3_BUCKET: undefined })).stdout).toBe('no\n');
    expect((await script(text, { CACHE_S3_BUCKET: '' })).stdout).toBe('no\n');
    expect((await script(text, { CACHE_S3_BUCKET: '', CACHE_LOCAL_DIR: '/x' })).stdout).toBe('yes\n');
    const roles = { AWS_ACCESS_KEY_ID: undefined, AWS_SECRET_ACCESS_KEY: undefined };
    expect((await script(text, roles)).stdout).toBe('yes\n');
  });

  it('cache_hash: the first 16 digits of the SHA-256', async () => {
    writeFileSync(join(sandbox.project, 'a lock'), 'text\n');
    expect(expectExit(await script('cache_hash "a lock"'), 0).stdout).toBe(`${hashOf('text\n')}\n`);
    const missing = expectExit(
      await script('if cache_hash nothing; then echo yes; else echo "no $?"; fi'),
      0,
    );
    expect(missing.stdout).toBe('no 1\n');
  });

  it('cache_key: the URL of the entry, with the runtime or as the old library had it', async () => {
    const text = 'cache_key deps 0123456789abcdef';
    const prefix = `s3://${sandbox.bucket}/claude-sandbox-cache`;
    expect(expectExit(await script(text), 0).stdout).toBe(
      `${prefix}/deps-0123456789abcdef-${process.platform}-${process.arch}.tar.gz\n`,
    );
    const old = { CACHE_KEY_RUNTIME: 'false' };
    expect(expectExit(await script(text, old), 0).stdout).toBe(`${prefix}/deps-0123456789abcdef.tar.gz\n`);
    const full = 'AB'.repeat(32);
    for (const hash of ['abc123', full, '0000000000000000', 'v1.2'])
      expect(expectExit(await script(`cache_key deps ${hash}`, old), 0).stdout).toBe(
        `${prefix}/deps-${hash}.tar.gz\n`,
      );
    const wrong = expectExit(
      await script('if cache_key deps 1; then echo yes; else echo "no $?"; fi', {
        CACHE_S3_PREFIX: '..',
      }),
      0,
    );
    expect(wrong.stdout).toBe('no 1\n');
  });

  it('the round that a script makes: exists, restore, save, exists, restore', async () => {
    makeProject(sandbox.project);
    const before = treeOf(join(sandbox.project, 'deps'));
    const text = `
      url=$(cache_key deps "$(cache_hash deps.lock)")
      echo "$url" >url
      if cache_exists "$url"; then echo exists; else echo "not there: $?"; fi
      if cache_restore deps deps.lock deps; then echo hit; else echo "miss: $?"; fi
      if cache_save deps deps.lock deps; then echo saved; else echo "not saved: $?"; fi
      if cache_exists "$url"; then echo exists; else echo "not there: $?"; fi
      rm -rf deps
      if cache_restore deps deps.lock deps; then echo hit; else echo "miss: $?"; fi
      if cache_save deps deps.lock deps; then echo saved; else echo "not saved: $?"; fi`;
    const result = expectExit(await script(text), 0);
    expect(result.stdout.split('\n').filter(Boolean)).toEqual([
      'not there: 1',
      'miss: 1',
      'saved',
      'exists',
      'hit',
      'saved',
    ]);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);
    expect(readFileSync(join(sandbox.project, 'url'), 'utf8').trim()).toBe(
      `s3://${sandbox.bucket}/${sandbox.key}`,
    );
    expect(readFileSync(join(sandbox.project, 'deps/.installed'), 'utf8').trim()).toHaveLength(64);
    expect(debris(sandbox.project)).toEqual([]);
  });

  it('another bucket is not this one', async () => {
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const exists = (url: string) => script(`if cache_exists ${url}; then echo yes; else echo "no $?"; fi`);
    expect((await exists(`s3://${sandbox.bucket}/${sandbox.key}`)).stdout).toBe('yes\n');
    expect((await exists(`s3://other-bucket/${sandbox.key}`)).stdout).toBe('no 1\n');
    const missing = await exists(`s3://${sandbox.bucket}/claude-sandbox-cache/deps-0123456789abcdef.tar.gz`);
    expect(missing).toMatchObject({ stdout: 'no 1\n', stderr: '' });
    expect((await exists(`s3://${sandbox.bucket}/other/${sandbox.key}`)).stdout).toBe('no 1\n');
  });

  it('failures are 1 as well: no store, no lockfile, nothing installed, a broken server', async () => {
    makeProject(sandbox.project);
    const text = (call: string) => `if ${call}; then echo yes; else echo "no $?"; fi`;
    const off = { CACHE_S3_BUCKET: '' };
    expect((await script(text('cache_restore deps deps.lock deps'), off)).stdout).toBe('no 1\n');
    expect((await script(text('cache_restore deps other.lock deps'))).stdout).toBe('no 1\n');
    expect((await script(text('cache_save deps deps.lock elsewhere'))).stdout).toBe('no 1\n');
    const wrong = { AWS_SECRET_ACCESS_KEY: 'wrong' };
    expect((await script(text('cache_restore deps deps.lock deps'), wrong)).stdout).toBe('no 1\n');
    expect((await script(text('cache_save deps deps.lock deps'), wrong)).stdout).toBe('no 1\n');
    const refused = await script(text(`cache_exists s3://${sandbox.bucket}/claude-sandbox-cache/x`), wrong);
    expect(refused.stdout).toBe('no 1\n');
    expect(refused.stderr).toMatch(/^\[cache\] error: /);
    expect((await script(text('cache_prune deps'), wrong)).stdout).toBe('no 1\n');
  });

  it('cache_prune: what is older than 30 days, or than the days given, of this type alone', async () => {
    const day = 24 * 3600 * 1000;
    const place = (recipe: string, days: number) => {
      const key = `claude-sandbox-cache/${recipe}-${hashOf(`${recipe}${days}`)}-linux-x64.tar.gz`;
      sandbox.server.place(sandbox.bucket, {
        key,
        body: Buffer.from('x'),
        modified: new Date(Date.now() - days * day),
      });
      return key;
    };
    const [fresh, middle, other] = [place('deps', 1), place('deps', 20), place('other', 40)];
    place('deps', 40);
    expectExit(await script('cache_prune deps'), 0);
    expect(sandbox.keys).toEqual([fresh, middle, other].sort());
    expectExit(await script('cache_prune deps 10'), 0);
    expect(sandbox.keys).toEqual([fresh, other].sort());
    // The last of its type too: the old library asked nobody.
    expectExit(await script('cache_prune deps 0'), 0);
    expect(sandbox.keys).toEqual([other]);
  });
});

describe('found and started from anywhere', () => {
  it('sandbox-cache on PATH through a symlink, as npm install -g lays it out', async () => {
    makeProject(sandbox.project);
    const bin = join(sandbox.folder, 'prefix/bin');
    mkdirSync(bin, { recursive: true });
    symlinkSync(join(BIN, 'sandbox-cache.js'), join(bin, 'sandbox-cache'));
    symlinkSync(LIBRARY, join(bin, 'cache-manager.sh'));
    await round({ library: join(bin, 'cache-manager.sh'), path: `${bin}:${process.env['PATH']}` });
  });

  it('not on PATH: the one beside the library, through a symlink to it too', async () => {
    makeProject(sandbox.project);
    mkdirSync(join(sandbox.folder, 'lib'));
    symlinkSync(LIBRARY, join(sandbox.folder, 'lib/cache-manager.sh'));
    await round({ library: LIBRARY, path: process.env['PATH']! });
    await round({ library: join(sandbox.folder, 'lib/cache-manager.sh'), path: process.env['PATH']! });
    // A relative path is one from where it was sourced, not from where it is used.
    await round({ library: `.${LIBRARY}`, path: process.env['PATH']! });
  });

  async function round({ library, path }: { library: string; path: string }): Promise<void> {
    const text = `set -euo pipefail; cd /; source "${library}"; cd "${sandbox.project}"
      cache_save deps deps.lock deps; rm -rf deps; cache_restore deps deps.lock deps; test -x deps/tool/run.sh`;
    const env = { ...sandbox.env, PATH: path };
    const running = await startProcess('bash', ['-c', text], { cwd: sandbox.project, env });
    expectExit(await running.done, 0);
  }
});

it('a directory in place of a bucket does as well', async () => {
  makeProject(sandbox.project);
  const text = `set -euo pipefail; source "${LIBRARY}"
    cache_save deps deps.lock deps
    cache_exists "$(cache_key deps "$(cache_hash deps.lock)")"
    rm -rf deps; cache_restore deps deps.lock deps`;
  const env = { CACHE_S3_BUCKET: undefined, CACHE_LOCAL_DIR: join(sandbox.folder, 'store') };
  expectExit(await sandbox.script(text, { env }), 0);
});

it("the old library's entry of any other type restores from its place, only under its keys", async () => {
  makeProject(sandbox.project);
  const body = execFileSync('tar', ['-czf', '-', '-C', sandbox.project, 'deps']);
  const hash = hashOf(readFileSync(join(sandbox.project, 'deps.lock'), 'utf8'));
  sandbox.server.place(sandbox.bucket, { key: `claude-sandbox-cache/deps/deps-${hash}.tar.gz`, body });
  const before = treeOf(join(sandbox.project, 'deps'));
  wipe(sandbox.project, 'deps');
  expectExit(await sandbox.run(['restore', ...DEPS]), 1);
  const env = { CACHE_KEY_RUNTIME: 'false' };
  expectExit(await sandbox.run(['restore', ...DEPS], { env }), 0);
  expect(Object.keys(treeOf(join(sandbox.project, 'deps')))).toEqual(Object.keys(before));
  expect(expectExit(await sandbox.run(['restore', ...DEPS], { env }), 0).stdout).toContain(
    'already in place',
  );
  // What is saved goes to the key without the folder, and is found there first.
  expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
  expect(sandbox.keys).toContain(`claude-sandbox-cache/deps-${hash}.tar.gz`);
});

it("the old library's node_modules restores, and is verified as npm's", async () => {
  makeNpmProject(sandbox.project);
  const env = { CACHE_KEY_RUNTIME: 'false' };
  // Where the old library put it, not where keys without a runtime are now.
  const key = expectExit(await sandbox.run(['key', 'npm'], { env }), 0)
    .stdout.trim()
    .replace('/npm-', '/node/npm-');
  const place = (): void => {
    const body = execFileSync('tar', ['-czf', '-', '-C', sandbox.project, 'node_modules']);
    sandbox.server.place(sandbox.bucket, { key, body });
  };
  const text = `set -euo pipefail; source "${LIBRARY}"; cache_restore npm package-lock.json node_modules`;
  place();
  wipe(sandbox.project, 'node_modules');
  expectExit(await sandbox.script(text, { env }), 0);
  expect(existsSync(join(sandbox.project, 'node_modules/one/index.js'))).toBe(true);

  wipe(sandbox.project, 'node_modules/one/package.json', 'node_modules/.sandbox-cache-receipt.json');
  place();
  expectExit(await sandbox.script(text, { env }), 1);
});

describeFixture("the old library's archives", await sharedFixture('gems'), (fixture) => {
  /** As lib/cache-manager.sh made them: `tar -czf - -C vendor bundle`, under a key that is the hash alone. */
  function placeOld(gzip: 'gzip' | 'none' = 'gzip'): string {
    const hash = hashOf(readFileSync(join(fixture.folder, 'Gemfile.lock'), 'utf8'));
    const key = `claude-sandbox-cache/ruby/bundle-${hash}.tar${gzip === 'gzip' ? '.gz' : ''}`;
    const flags = gzip === 'gzip' ? '-czf' : '-cf';
    const body = execFileSync('tar', [flags, '-', '-C', join(fixture.folder, 'vendor'), 'bundle']);
    sandbox.server.place(sandbox.bucket, { key, body });
    return key;
  }

  it.each(['gzip', 'none'] as const)('restore under CACHE_KEY_RUNTIME=false (%s)', async (gzip) => {
    wipe(sandbox.folder, 'project');
    await copyTree(fixture.folder, sandbox.project);
    placeOld(gzip);
    wipe(sandbox.project, 'vendor');
    const env = {
      BUNDLE_PATH: 'vendor/bundle',
      CACHE_KEY_RUNTIME: 'false',
      CACHE_COMPRESSION: gzip === 'gzip' ? 'true' : 'false',
    };
    const library = `set -euo pipefail; source "${LIBRARY}"; cache_restore bundle Gemfile.lock vendor/bundle`;
    const result = expectExit(await sandbox.script(library, { env: { ...env, CACHE_VERBOSE: 'true' } }), 0);
    expect(cacheLines(result)).toContain('Cache restored successfully');
    expect(toTheSecond(join(sandbox.project, 'vendor/bundle'))).toEqual(
      toTheSecond(join(fixture.folder, 'vendor/bundle')),
    );
    const shell = { cwd: sandbox.project, env: bundleEnvironment(sandbox.project) };
    expect(await tool('bundle', ['exec', 'fixture-greet'], shell)).toBe('twice 21 is 42\n');
    expect(existsSync(join(sandbox.project, 'bundle'))).toBe(false);
    const again = expectExit(await sandbox.run(['restore', 'bundle'], { env }), 0);
    expect(again.stdout).toMatch(/already in place/);
    expect(debris(sandbox.project)).toEqual([]);
  });

  it('are not looked for with the runtime in the key', async () => {
    wipe(sandbox.folder, 'project');
    await copyTree(fixture.folder, sandbox.project);
    placeOld();
    wipe(sandbox.project, 'vendor');
    expectExit(await sandbox.run(['restore', 'bundle']), 1);
  });
});

/** The tree with the times that GNU tar's own format has. */
function toTheSecond(dir: string): Record<string, TreeEntry> {
  return Object.fromEntries(
    Object.entries(treeOf(dir)).map(([path, entry]) => [
      path,
      { ...entry, mtimeUs: entry.mtimeUs.slice(0, -6) },
    ]),
  );
}
