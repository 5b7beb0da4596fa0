/** A real npm tree to a store and back: what npm installed is what npm finds afterwards. */
import { createRequire } from 'node:module';
import {
  existsSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { indexOf, newMembers } from '../archive/members.ts';
import { runCli, type CliResult } from '../support/cli.ts';
import { findProgram } from '../support/daemon.ts';
import { copyTree, describeFixture, sharedFixture } from '../support/fixtures.ts';
import { availableServers, describeEachServer } from '../support/servers.ts';
import { type TreeEntry, withoutTimes } from '../support/tree.ts';
import { expectExit, tool, treeOf, useFolder, wipe } from './support.ts';

const TARGETS = ['node_modules', 'packages/app/node_modules'];
const folder = useFolder();
const servers = await availableServers();

describeFixture('npm', await sharedFixture('npm'), (fixture) => {
  describeStores((place) => {
    async function prepare(): Promise<{ dir: string; run: (...args: string[]) => Promise<CliResult> }> {
      const dir = join(folder.path, 'project');
      await copyTree(fixture.folder, dir);
      const env = await place();
      return { dir, run: (...args) => runCli(args, { cwd: dir, env }) };
    }

    it('install, save, wipe, restore, verify, save again, change the lockfile', async () => {
      const { dir, run } = await prepare();
      const before = contentOf(dir);
      wipe(dir, ...TARGETS);
      const miss = expectExit(await run('restore', 'npm', '-v'), 1);
      expect(miss.stderr).toMatch(/^\[cache\] Cache miss for npm \([0-9a-f]{16}\)$/m);
      expect(existsSync(join(dir, 'node_modules'))).toBe(false);

      await copyTree(join(fixture.folder, 'node_modules'), join(dir, 'node_modules'));
      await copyTree(join(fixture.folder, TARGETS[1]!), join(dir, TARGETS[1]!));
      const saved = expectExit(await run('save', 'npm'), 0);
      expect(saved.stdout).toMatch(/^Node packages saved to s3:\/\/\S+ \(.+, \d+ files, .+ s\)\n$/);

      wipe(dir, ...TARGETS);
      const restored = expectExit(await run('restore', 'npm'), 0);
      expect(restored.stdout).toMatch(/^Node packages restored from S3 cache \(.+\)\n$/);
      expect(restored.stderr).toBe('');
      expect(contentOf(dir)).toEqual(before);
      await expectNpmContent(dir);

      const again = expectExit(await run('save', 'npm', '-v'), 0);
      expect(again.stderr).toMatch(/^\[cache\] Cache already exists: s3:\/\/\S+$/m);

      writeFileSync(
        join(dir, 'package-lock.json'),
        `${readFileSync(join(dir, 'package-lock.json'), 'utf8')}\n`,
      );
      const changed = expectExit(await run('restore', 'npm'), 1);
      expect(changed.stdout).toMatch(/^Node packages not in the cache \(/);
      expect(contentOf(dir)).toEqual(before);
    });
  });

  it('does nothing where the receipts fit, and all of it when one target is gone', async () => {
    const dir = join(folder.path, 'project');
    await copyTree(fixture.folder, dir);
    const env = { CACHE_LOCAL_DIR: join(folder.path, 'store') };
    const run = (...args: string[]) => runCli(args, { cwd: dir, env });
    expectExit(await run('save', 'npm'), 0);
    // Saved from here, so it is in place here.
    expect(expectExit(await run('restore', 'npm'), 0).stdout).toMatch(/^Node packages already in place/);
    for (const gone of TARGETS) {
      wipe(dir, gone);
      expect(expectExit(await run('restore', 'npm'), 0).stdout).toMatch(/^Node packages restored/);
      expect(existsSync(join(dir, gone))).toBe(true);
    }
    expect(expectExit(await run('restore', 'npm'), 0).stdout).toMatch(/^Node packages already in place/);
  });

  it('times follow from what files hold, and npm trusts its record of the tree; CACHE_KEEP_TIMES keeps them', async () => {
    const dir = join(folder.path, 'project');
    const store = join(folder.path, 'store');
    await copyTree(fixture.folder, dir);
    const env = { CACHE_LOCAL_DIR: store };
    const entry = async (extra = {}): Promise<Buffer> => {
      expectExit(await runCli(['save', 'npm', '--force'], { cwd: dir, env: { ...env, ...extra } }), 0);
      const found = readdirSync(store, { recursive: true, encoding: 'utf8' }).filter((path) =>
        path.endsWith('.tar.gz'),
      );
      expect(found).toHaveLength(1);
      return readFileSync(join(store, found[0]!));
    };
    const clean = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'];
    const install = () => tool('npm', clean, { cwd: dir, env: { npm_config_cache: fixture.cache } });

    await install();
    const first = indexOf(await entry(), 'gzip');
    await install();
    const second = indexOf(await entry(), 'gzip');
    // Only what npm wrote for the whole tree.
    expect(newMembers(first, second).map(({ firstPath }) => Buffer.from(firstPath).toString())).toEqual([
      'node_modules/.package-lock.json',
    ]);
    wipe(dir, ...TARGETS);
    expectExit(await runCli(['restore', 'npm'], { cwd: dir, env }), 0);
    expect(statSync(join(dir, 'node_modules/semver/package.json')).mtimeMs).toBeLessThan(Date.UTC(1995, 0));
    // The workspace itself is the checkout's, and has just lost its node_modules and got it back.
    utimesSync(join(dir, 'packages/app'), 0, 0);
    expect(await trustsItsRecord(dir)).toBe(true);
    expect(expectExit(await runCli(['restore', 'npm'], { cwd: dir, env }), 0).stdout).toMatch(
      /already in place/,
    );

    await install();
    const before = TARGETS.map((target) => treeOf(join(dir, target)));
    await entry({ CACHE_KEEP_TIMES: 'true' });
    wipe(dir, ...TARGETS);
    expectExit(await runCli(['restore', 'npm'], { cwd: dir, env }), 0);
    expect(TARGETS.map((target) => treeOf(join(dir, target)))).toEqual(before);
  });

  it('ensure runs npm ci on a miss, and needs neither npm nor the network on a hit', async () => {
    const dir = join(folder.path, 'project');
    await copyTree(fixture.folder, dir);
    wipe(dir, ...TARGETS);
    const env = {
      CACHE_LOCAL_DIR: join(folder.path, 'store'),
      npm_config_cache: fixture.cache,
      npm_config_prefer_offline: 'true',
      npm_config_audit: 'false',
    };
    const installed = expectExit(await runCli(['ensure', 'npm'], { cwd: dir, env }), 0);
    expect(installed.stdout).toMatch(/^Node packages ready: installed and saved \(/m);
    await expectNpmContent(dir);

    wipe(dir, ...TARGETS);
    const offline = { ...env, npm_config_cache: join(folder.path, 'none'), npm_config_offline: 'true' };
    const hit = expectExit(await runCli(['ensure', 'npm'], { cwd: dir, env: offline }), 0);
    expect(hit.stdout).toMatch(/^Node packages restored from local cache \(/);
    await expectNpmContent(dir);

    const third = expectExit(await runCli(['ensure', 'npm'], { cwd: dir, env: offline }), 0);
    expect(third.stdout).toMatch(/^Node packages ready: already in place/);
  });

  it('an installer that worked in a restored tree makes the next restore work again', async () => {
    const dir = join(folder.path, 'project');
    await copyTree(fixture.folder, dir);
    const env = { CACHE_LOCAL_DIR: join(folder.path, 'store') };
    const run = (...args: string[]) => runCli(args, { cwd: dir, env });
    expectExit(await run('save', 'npm'), 0);
    const lock = readFileSync(join(dir, 'package-lock.json'));
    const { mtime } = statSync(join(dir, 'package-lock.json'));
    const npm = [
      '--no-audit',
      '--no-fund',
      '--prefer-offline',
      '--no-save',
      '--ignore-scripts',
      '--cache',
      fixture.cache,
    ];
    await tool('npm', ['install', 'semver@5.7.2', ...npm], { cwd: dir });
    expect(semverVersion(dir)).toBe('5.7.2');
    writeFileSync(join(dir, 'package-lock.json'), lock);
    utimesSync(join(dir, 'package-lock.json'), mtime, mtime);

    expect(expectExit(await run('restore', 'npm'), 0).stdout).toMatch(/^Node packages restored/);
    expect(semverVersion(dir)).toBe('7.7.2');
  });

  it('a tree that lacks a package is not saved, with the reason; --no-verify saves it', async () => {
    const dir = join(folder.path, 'project');
    await copyTree(fixture.folder, dir);
    const env = { CACHE_LOCAL_DIR: join(folder.path, 'store') };
    rmSync(join(dir, 'node_modules/is-number'), { recursive: true });
    const refused = expectExit(await runCli(['save', 'npm'], { cwd: dir, env }), 4);
    expect(refused.stderr).toMatch(/^\[cache\] error: npm was not saved: .*is-number.* \[VERIFY_FAILED\]\n$/);
    expect(expectExit(await runCli(['restore', 'npm'], { cwd: dir, env }), 1).stdout).toMatch(
      /not in the cache/,
    );
    expectExit(await runCli(['save', 'npm', '--no-verify'], { cwd: dir, env }), 0);
    wipe(dir, ...TARGETS);
    const restored = expectExit(await runCli(['restore', 'npm'], { cwd: dir, env }), 4);
    expect(restored.stdout).toMatch(/^Node packages restored, but not usable: .*is-number/);
    expect(existsSync(join(dir, 'node_modules/.sandbox-cache-receipt.json'))).toBe(false);
  });
});

/** Both targets, without the times, which an entry has of its own. */
function contentOf(dir: string): Record<string, TreeEntry>[] {
  return TARGETS.map((target) => withoutTimes(treeOf(join(dir, target))));
}

/** Whether npm goes by its hidden lockfile: it does not where a package's directory is newer. */
async function trustsItsRecord(path: string): Promise<boolean> {
  const load = createRequire(realpathSync((await findProgram('npm'))!));
  const Arborist = load('@npmcli/arborist') as new (options: { path: string }) => {
    loadActual(): Promise<{ meta: { hiddenLockfile: boolean } }>;
  };
  return (await new Arborist({ path }).loadActual()).meta.hiddenLockfile;
}

/** The suite against each S3 server. */
function describeStores(suite: (place: () => Promise<Record<string, string>>) => void): void {
  describeEachServer(servers, (target) => {
    describe('npm', () =>
      suite(async () => {
        const { bucket, prefix } = await target().place();
        return { ...target().environment, CACHE_S3_BUCKET: bucket, CACHE_S3_PREFIX: `${prefix}cache` };
      }));
  });
}

/** npm takes its hidden lockfile for the truth, has nothing to complain of, and the native module loads. */
async function expectNpmContent(dir: string): Promise<void> {
  const Arborist = await loadArborist();
  const tree = await new Arborist({ path: dir }).loadActual();
  expect(tree.meta.loadedFromDisk, 'the hidden lockfile was discarded').toBe(true);
  await tool('npm', ['ls', '--all', '--loglevel=error'], { cwd: dir });
  await tool(process.execPath, ['-e', "require('@parcel/watcher')"], { cwd: dir });
  expect(await tool(join(dir, 'node_modules/.bin/semver'), ['1.2.3'])).toBe('1.2.3\n');
}

type Arborist = new (options: { path: string }) => {
  loadActual(): Promise<{ meta: { loadedFromDisk: boolean } }>;
};

/** npm's own, out of the npm on PATH. */
async function loadArborist(): Promise<Arborist> {
  const npm = realpathSync((await findProgram('npm'))!);
  return createRequire(npm)('@npmcli/arborist') as Arborist;
}

function semverVersion(dir: string): string {
  const text = readFileSync(join(dir, 'node_modules/semver/package.json'), 'utf8');
  return (JSON.parse(text) as { version: string }).version;
}
