/** A real bundle with a C extension to a store and back. */
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { CLI, runCli, type CliResult } from '../support/cli.ts';
import { copyTree, describeFixture, sharedFixture } from '../support/fixtures.ts';
import { bundleEnvironment } from '../support/gem-project.ts';
import { availableServers, describeEachServer } from '../support/servers.ts';
import { snapshotTree, withoutTimes } from '../support/tree.ts';
import { expectExit, tool, useFolder, wipe, writeFiles } from './support.ts';

const folder = useFolder();
const servers = await availableServers();

describeFixture('bundle', await sharedFixture('gems'), (fixture) => {
  const dir = () => join(folder.path, 'project');
  const local = () => ({ CACHE_LOCAL_DIR: join(folder.path, 'store'), BUNDLE_PATH: 'vendor/bundle' });
  const run = (args: readonly string[], env: Record<string, string>): Promise<CliResult> =>
    runCli(args, { cwd: dir(), env });

  describeEachServer(servers, (target) => {
    it('bundle: install, save, wipe, restore, verify, save again, change the lockfile', async () => {
      const { bucket, prefix } = await target().place();
      const env = {
        ...target().environment,
        BUNDLE_PATH: 'vendor/bundle',
        CACHE_S3_BUCKET: bucket,
        CACHE_S3_PREFIX: `${prefix}cache`,
      };
      await copyTree(fixture.folder, dir());
      wipe(dir(), 'vendor');
      expectExit(await run(['restore', 'bundle'], env), 1);

      await tool('bundle', ['install', '--quiet'], { cwd: dir(), env: bundleEnvironment(dir()) });
      const before = gemTree(dir());
      expect(expectExit(await run(['save', 'bundle'], env), 0).stdout).toMatch(/^Ruby gems saved to s3:/);
      const inspected = expectExit(await run(['--json', 'inspect', 'bundle'], env), 0);
      // Of the gem with the C extension.
      expect(inspected.stdout).toMatch(/"sandbox-cache-needs": "GLIBC_2\.\d+/);

      wipe(dir(), 'vendor', '.bundle');
      const restored = expectExit(await run(['restore', 'bundle'], env), 0);
      expect(restored.stdout).toMatch(/^Ruby gems restored from S3 cache \(.+\)\n$/);
      expect(restored.stderr).toBe('');
      expect(gemTree(dir())).toEqual(before);
      expect(expectExit(await run(['restore', 'bundle'], env), 0).stdout).toMatch(
        /^Ruby gems already in place/,
      );
      await expectGems(dir());

      const again = expectExit(await run(['save', 'bundle', '-v'], env), 0);
      expect(again.stderr).toMatch(/^\[cache\] Cache already exists: s3:/m);

      const lock = readFileSync(join(dir(), 'Gemfile.lock'), 'utf8');
      writeFiles(dir(), { 'Gemfile.lock': lock.replace('1.0.3', '1.0.4') });
      expectExit(await run(['restore', 'bundle'], env), 1);
    });
  });

  it('leaves the downloaded .gem files out of the entry, and only them', async () => {
    await copyTree(fixture.folder, dir());
    expect(gemFiles(dir())).toHaveLength(3);
    expectExit(await run(['save', 'bundle'], local()), 0);
    wipe(dir(), 'vendor');
    expectExit(await run(['restore', 'bundle'], local()), 0);
    expect(gemFiles(dir())).toEqual([]);
    await expectGems(dir());
  });

  it('writes the markers that the old scripts look for, and the receipt that counts', async () => {
    await copyTree(fixture.folder, dir());
    expectExit(await run(['save', 'bundle'], local()), 0);
    wipe(dir(), 'vendor', '.bundle');
    expectExit(await run(['restore', 'bundle'], local()), 0);
    const sum = (await tool('sha256sum', [join(dir(), 'Gemfile.lock')])).slice(0, 64);
    expect(readFileSync(join(dir(), '.bundle/.installed'), 'utf8').trim()).toBe(sum);
    expect(expectExit(await run(['restore', 'bundle'], local()), 0).stdout).toMatch(/already in place/);
    // A marker alone says nothing.
    wipe(dir(), 'vendor/bundle/.sandbox-cache-receipt.json');
    expect(expectExit(await run(['restore', 'bundle'], local()), 0).stdout).toMatch(/^Ruby gems restored/);
    wipe(dir(), 'vendor/bundle');
    expect(expectExit(await run(['restore', 'bundle'], local()), 0).stdout).toMatch(/^Ruby gems restored/);
  });

  it('is not in place any more once something of it is gone, receipt or not', async () => {
    await copyTree(fixture.folder, dir());
    expectExit(await run(['save', 'bundle'], local()), 0);
    const ruby = join(dir(), 'vendor/bundle/ruby', readdirSync(join(dir(), 'vendor/bundle/ruby'))[0]!);
    for (const path of [
      'gems/fixture-extra-0.1.0',
      `extensions/${readdirSync(join(ruby, 'extensions'))[0]}`,
    ]) {
      expect(expectExit(await run(['restore', 'bundle'], local()), 0).stdout).toMatch(/already in place/);
      wipe(ruby, path);
      const restored = expectExit(await run(['restore', 'bundle'], local()), 0);
      expect(restored.stdout).toMatch(/^Ruby gems restored/);
      expect(restored.stderr).toMatch(/What was restored is not whole any more: /);
      await expectGems(dir());
    }
  });

  /** The application's own next step, in the environment of whoever called us. */
  const exec = (env: Record<string, string> = {}): Promise<string> =>
    tool('bundle', ['exec', 'fixture-greet'], { cwd: dir(), env: { ...plain(), ...env } });
  const plain = () => ({ PATH: process.env['PATH'] ?? '', HOME: join(folder.path, '.home') });
  const store = () => ({ CACHE_LOCAL_DIR: join(folder.path, 'store') });
  const GREETING = 'twice 21 is 42\n';

  it.each([
    ['no configuration at all', {}],
    ['the official image of Ruby', { GEM_HOME: '/nowhere/bundle', BUNDLE_APP_CONFIG: '/nowhere/bundle' }],
    ['gems outside the project', { BUNDLE_PATH: '/nowhere/bundle' }],
  ])('with %s Bundler does not look into vendor/bundle: exit 4 with the line to add', async (_, env) => {
    await copyTree(fixture.folder, dir());
    // The tree itself is good, and may be saved for those who look into it.
    expectExit(await run(['save', 'bundle'], { ...store(), ...env }), 0);
    wipe(dir(), 'vendor');
    const ensured = expectExit(await run(['ensure', 'bundle'], { ...store(), ...env }), 4);
    expect(ensured.stderr).toMatch(
      / Bundler looks for gems in .*; `export BUNDLE_PATH=vendor\/bundle` sends it/,
    );
    expect(existsSync(join(dir(), 'vendor'))).toBe(false);

    const restored = expectExit(await run(['restore', 'bundle'], { ...store(), ...env }), 4);
    expect(restored.stdout).toMatch(
      /not usable: Bundler looks for gems in .*`export BUNDLE_PATH=vendor\/bundle`/,
    );
    expectExit(await run(['restore', 'bundle'], { ...store(), ...env }), 4);
    // Nothing is wrong with the entry, nor with the tree: with the line it is in place, and works.
    expect(expectExit(await run(['save', 'bundle'], { ...store(), ...env }), 0).stdout).toMatch(
      /already cached/,
    );
    const BUNDLE_PATH = 'vendor/bundle';
    const again = expectExit(await run(['ensure', 'bundle'], { ...store(), ...env, BUNDLE_PATH }), 0);
    expect(again.stdout).toMatch(/already in place/);
    expect(await exec({ ...env, BUNDLE_PATH })).toBe(GREETING);
  });

  it('leaves it to a command of the caller’s to send Bundler there', async () => {
    await copyTree(fixture.folder, dir());
    wipe(dir(), 'vendor');
    const script = 'bundle config set --local path vendor/bundle && bundle install --quiet';
    expectExit(await run(['ensure', 'bundle', '--', 'sh', '-c', script], store()), 0);
    expect(await exec()).toBe(GREETING);
  });

  it('follows BUNDLE_PATH within the project, with keys of its own', async () => {
    await copyTree(fixture.folder, dir());
    wipe(dir(), 'vendor');
    const env = { ...store(), BUNDLE_PATH: 'gems-here' };
    const ensured = expectExit(await run(['ensure', 'bundle'], env), 0);
    expect(ensured.stdout).toMatch(/^Ruby gems ready: installed and saved/m);
    wipe(dir(), 'gems-here');
    expectExit(await run(['restore', 'bundle'], env), 0);
    expect(await exec({ BUNDLE_PATH: 'gems-here' })).toBe(GREETING);
    expect(existsSync(join(dir(), 'vendor'))).toBe(false);
    expectExit(await run(['restore', 'bundle'], local()), 1);
  });

  it('names where gems are when there are none to save', async () => {
    await copyTree(fixture.folder, dir());
    wipe(dir(), 'vendor');
    const env = { ...store(), GEM_HOME: '/nowhere/bundle' };
    expect(expectExit(await run(['save', 'bundle'], env), 1).stdout).toBe(
      'Ruby gems not saved: nothing is installed in vendor/bundle; installs go to /nowhere/bundle (BUNDLE_PATH is not set)\n',
    );
  });

  it('follows BUNDLE_GEMFILE: each has its key, its tree and its verdict', async () => {
    await copyTree(fixture.folder, dir());
    const gemfile = readFileSync(join(dir(), 'Gemfile'), 'utf8');
    const lock = readFileSync(join(dir(), 'Gemfile.lock'), 'utf8');
    writeFiles(dir(), {
      'gemfiles/small.gemfile': gemfile.replace(/group :development[^]*?end\n/, ''),
      'gemfiles/small.gemfile.lock': lock.replaceAll(/^ +fixture-extra.*\n/gm, ''),
    });
    expectExit(await run(['save', 'bundle'], local()), 0);
    wipe(dir(), 'vendor');
    const small = {
      ...local(),
      BUNDLE_GEMFILE: 'gemfiles/small.gemfile',
      BUNDLE_PATH: join(dir(), 'vendor/bundle'),
    };
    expectExit(await run(['restore', 'bundle'], small), 1);
    expectExit(await run(['ensure', 'bundle'], small), 0);
    const gems = readdirSync(join(dir(), 'vendor/bundle'), { recursive: true, encoding: 'utf8' });
    expect(gems.filter((path) => path.endsWith('.gemspec') && path.includes('fixture-extra'))).toEqual([]);
    // The default Gemfile's entry in its place again, though what is there is whole.
    expect(expectExit(await run(['restore', 'bundle'], local()), 0).stdout).toMatch(/^Ruby gems restored/);
  });

  it('takes gems.rb before Gemfile, as Bundler does', async () => {
    await copyTree(fixture.folder, dir());
    wipe(dir(), 'vendor');
    renameSync(join(dir(), 'Gemfile'), join(dir(), 'gems.rb'));
    renameSync(join(dir(), 'Gemfile.lock'), join(dir(), 'gems.locked'));
    writeFiles(dir(), { Gemfile: 'raise "not this one"\n', 'Gemfile.lock': 'not this one\n' });
    expectExit(await run(['ensure', 'bundle'], local()), 0);
    expect(await exec({ BUNDLE_PATH: 'vendor/bundle' })).toBe(GREETING);
    expectExit(await run(['inspect', 'bundle'], local()), 0);
  });

  it('is not replaced for lack of a group that is left out after every restore, as entrypoints do', async () => {
    await copyTree(fixture.folder, dir());
    const without = (): void =>
      writeFiles(dir(), {
        '.bundle/config': '---\nBUNDLE_PATH: "vendor/bundle"\nBUNDLE_WITHOUT: "development"\n',
      });
    const install = (): Promise<string> =>
      tool('bundle', ['install', '--quiet'], { cwd: dir(), env: plain() });
    wipe(dir(), 'vendor');
    without();
    await install();
    expectExit(await run(['save', 'bundle'], store()), 0);
    for (const option of [[], ['--evict']]) {
      wipe(dir(), 'vendor', '.bundle');
      const restored = expectExit(await run(['restore', 'bundle', ...option], local()), 4);
      expect(restored.stdout).toMatch(
        /not usable: bundle check: The following gems are missing \* fixture-extra/,
      );
      without();
      await install();
      expect(expectExit(await run(['save', 'bundle'], store()), 0).stdout).toMatch(/already cached/);
    }
    // Whoever needs the group as well replaces the entry, once, by one that suits both.
    wipe(dir(), 'vendor', '.bundle');
    expectExit(await run(['ensure', 'bundle'], local()), 0);
    for (const configure of [without, () => wipe(dir(), '.bundle')]) {
      wipe(dir(), 'vendor', '.bundle');
      configure();
      expectExit(await run(['restore', 'bundle'], local()), 0);
    }
  });

  it.skipIf(process.getuid?.() !== 0)('works for a user who is a number without a home', async () => {
    await copyTree(fixture.folder, dir());
    chmodSync(folder.path, 0o755);
    const [user, env] = [54_321, { PATH: process.env['PATH'] }];
    const options = { cwd: dir(), env, uid: user, gid: user, encoding: 'utf8' } as const;
    const { status, stdout, stderr } = spawnSync(process.execPath, [CLI, 'key', 'bundle'], options);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^claude-sandbox-cache\/bundle-/);
  });

  it('a gem whose compiled files are all gone is not saved', async () => {
    await copyTree(fixture.folder, dir());
    const libraries = readdirSync(join(dir(), 'vendor/bundle'), { recursive: true, encoding: 'utf8' });
    for (const path of libraries.filter((name) => name.endsWith('fixture_native.so')))
      wipe(dir(), `vendor/bundle/${path}`);
    expect(expectExit(await run(['save', 'bundle'], local()), 4).stderr).toMatch(
      /bundle was not saved: fixture_native\.so of vendor\/bundle\/.*fixture-native-2\.1\.0 is missing/,
    );
  });

  it('a bundle that lacks a gem is restored but not taken for good: exit 4, no receipt', async () => {
    await copyTree(fixture.folder, dir());
    const ruby = join(dir(), 'vendor/bundle/ruby');
    const [abi] = readdirSync(ruby);
    const spec = readdirSync(join(ruby, abi!, 'specifications')).find((name) =>
      name.startsWith('fixture-native'),
    );
    wipe(dir(), `vendor/bundle/ruby/${abi}/specifications/${spec}`);
    expectExit(await run(['save', 'bundle'], local()), 4);
    expectExit(await run(['save', 'bundle', '--no-verify'], local()), 0);
    wipe(dir(), 'vendor', '.bundle');
    // An old script would take it for the marker of what is there now.
    mkdirSync(join(dir(), '.bundle'));
    writeFileSync(join(dir(), '.bundle/.installed'), 'of an earlier tree\n');
    const restored = expectExit(await run(['restore', 'bundle'], local()), 4);
    expect(restored.stdout).toMatch(/^Ruby gems restored, but not usable: .*fixture-native/);
    expect(existsSync(join(dir(), 'vendor/bundle/.sandbox-cache-receipt.json'))).toBe(false);
    expect(existsSync(join(dir(), '.bundle/.installed'))).toBe(false);

    // The caller installs; the next save then replaces that very entry, and the next restore is good.
    await tool('bundle', ['install', '--quiet'], { cwd: dir(), env: bundleEnvironment(dir()) });
    expect(expectExit(await run(['save', 'bundle'], local()), 0).stdout).toMatch(/; replaced\)\n$/);
    wipe(dir(), 'vendor', '.bundle');
    expectExit(await run(['restore', 'bundle'], local()), 0);
    await expectGems(dir());
  });
});

/** The tree without the downloads, which entries leave out, and the time of the folder they were in. */
function gemTree(dir: string) {
  const tree = snapshotTree(join(dir, 'vendor/bundle'), {
    skip: (path) => /\/cache\/[^/]+\.gem$|\.sandbox-cache-receipt\.json$/.test(path),
  });
  expect(Object.keys(tree).some((path) => path.endsWith('fixture_native.so'))).toBe(true);
  // An entry has times of its own.
  return withoutTimes(tree);
}

function gemFiles(dir: string): string[] {
  return readdirSync(join(dir, 'vendor/bundle'), { recursive: true, encoding: 'utf8' }).filter((path) =>
    path.endsWith('.gem'),
  );
}

async function expectGems(dir: string): Promise<void> {
  const options = { cwd: dir, env: bundleEnvironment(dir) };
  await tool('bundle', ['check'], options);
  expect(await tool('bundle', ['exec', 'fixture-greet'], options)).toBe('twice 21 is 42\n');
}
