/** A real bundle with a C extension to a store and back. */
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { runCli, type CliResult } from '../support/cli.ts';
import { copyTree, describeFixture, sharedFixture } from '../support/fixtures.ts';
import { bundleEnvironment } from '../support/gem-project.ts';
import { availableServers, describeEachServer } from '../support/servers.ts';
import { snapshotTree } from '../support/tree.ts';
import { expectExit, tool, useFolder, wipe, writeFiles } from './support.ts';

const folder = useFolder();
const servers = await availableServers();

describeFixture('bundle', await sharedFixture('gems'), (fixture) => {
  const dir = () => join(folder.path, 'project');
  const local = () => ({ CACHE_LOCAL_DIR: join(folder.path, 'store') });
  const run = (args: readonly string[], env: Record<string, string>): Promise<CliResult> =>
    runCli(args, { cwd: dir(), env });

  describeEachServer(servers, (target) => {
    it('bundle: install, save, wipe, restore, verify, save again, change the lockfile', async () => {
      const { bucket, prefix } = await target().place();
      const env = { ...target().environment, CACHE_S3_BUCKET: bucket, CACHE_S3_PREFIX: `${prefix}cache` };
      await copyTree(fixture.folder, dir());
      wipe(dir(), 'vendor');
      expectExit(await run(['restore', 'bundle'], env), 1);

      await tool('bundle', ['install', '--quiet'], { cwd: dir(), env: bundleEnvironment(dir()) });
      const before = gemTree(dir());
      expect(expectExit(await run(['save', 'bundle'], env), 0).stdout).toMatch(/^Ruby gems saved to s3:/);

      wipe(dir(), 'vendor', '.bundle');
      const restored = expectExit(await run(['restore', 'bundle'], env), 0);
      expect(restored.stdout).toMatch(/^Ruby gems restored from S3 cache \(.+\)\n$/);
      expect(restored.stderr).toBe('');
      expect(gemTree(dir())).toEqual(before);
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

  it('installs into and verifies vendor/bundle, whatever BUNDLE_PATH the environment has', async () => {
    await copyTree(fixture.folder, dir());
    wipe(dir(), 'vendor');
    const elsewhere = { ...local(), BUNDLE_PATH: join(folder.path, 'elsewhere') };
    const ensured = expectExit(await run(['ensure', 'bundle'], elsewhere), 0);
    expect(ensured.stdout).toMatch(/^Ruby gems ready: installed and saved/m);
    expect(existsSync(join(folder.path, 'elsewhere'))).toBe(false);
    await expectGems(dir());
  });

  it('says so where .bundle/config sends gems elsewhere', async () => {
    await copyTree(fixture.folder, dir());
    writeFiles(dir(), { '.bundle/config': '---\nBUNDLE_PATH: "gems"\n' });
    const refused = expectExit(await run(['save', 'bundle'], local()), 4);
    expect(refused.stderr).toMatch(
      /^\[cache\] error: .*\.bundle\/config sets BUNDLE_PATH to gems.*\[VERIFY_FAILED\]\n$/,
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
  return tree;
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
