/** What may be a target: single files, links, and what is none. */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, it } from 'vitest';
import { snapshotTree } from '../support/tree.ts';
import { DEPS, expectExit, makeNpmProject, makeProject, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();
const at = (...path: string[]): string => join(sandbox.project, ...path);
const OURS = /(^|\/)\.sandbox-cache-|\.installed$/;
const tree = (): unknown =>
  snapshotTree(sandbox.project, { skip: (path) => OURS.test(path), directoryTimes: false });

describe('a target that is a file', () => {
  const YARN = ['yarn', '--lockfile', 'yarn.lock', '--path', '.yarn/cache', '--path', '.pnp.cjs'];
  const ALONE = ['pnp', '--lockfile', 'yarn.lock', '--path', '.pnp.cjs'];

  beforeEach(() => {
    writeFiles(sandbox.project, {
      'yarn.lock': 'one\n',
      '.yarn/cache/a.zip': 'a',
      '.pnp.cjs': '#!/usr/bin/env node\nmodule.exports = 1;\n',
    });
    utimesSync(at('.pnp.cjs'), 1_600_000_000.123456, 1_600_000_000.123456);
  });

  it.each([
    ['beside a directory', YARN, 3],
    ['alone', ALONE, 1],
  ])('%s: is saved and restored with its mode and time, and then in place', async (_, recipe, files) => {
    const before = tree();
    expect(expectExit(await sandbox.run(['save', ...recipe]), 0).stdout).toContain(`, ${files} file`);
    expect(expectExit(await sandbox.run(['restore', ...recipe]), 0).stdout).toContain('already in place');

    wipe(sandbox.project, '.pnp.cjs', '.yarn');
    expectExit(await sandbox.run(['restore', ...recipe]), 0);
    if (recipe === YARN) expect(tree()).toEqual(before);
    expect(lstatSync(at('.pnp.cjs')).mode & 0o777).toBe(0o755);
    // To the microsecond: what Node makes of the rest differs between its versions.
    expect((lstatSync(at('.pnp.cjs'), { bigint: true }).mtimeNs / 1000n) * 1000n).toBe(
      1_600_000_000_123_456_000n,
    );
    expect(expectExit(await sandbox.run(['restore', ...recipe]), 0).stdout).toContain('already in place');
  });

  it.each<[string, () => void]>([
    ['is gone', () => wipe(sandbox.project, '.pnp.cjs')],
    ['has been written again', () => writeFileSync(at('.pnp.cjs'), 'another')],
  ])('is restored where it %s', async (_, change) => {
    const text = readFileSync(at('.pnp.cjs'), 'utf8');
    for (const recipe of [YARN, ALONE]) {
      writeFiles(sandbox.project, { '.pnp.cjs': text });
      utimesSync(at('.pnp.cjs'), 1_600_000_000, 1_600_000_000);
      expectExit(await sandbox.run(['save', ...recipe]), 0);
      change();
      expect(expectExit(await sandbox.run(['restore', ...recipe]), 0).stdout).toContain('restored');
      expect(readFileSync(at('.pnp.cjs'), 'utf8')).toBe(text);
    }
  });

  it('is not put in place of a directory', async () => {
    expectExit(await sandbox.run(['save', ...ALONE]), 0);
    wipe(sandbox.project, '.pnp.cjs');
    mkdirSync(at('.pnp.cjs'));
    expect(expectExit(await sandbox.run(['restore', ...ALONE]), 3).stderr).toMatch(
      /is a directory.*\[TARGET_REFUSED\]$/m,
    );
    expect(lstatSync(at('.pnp.cjs')).isDirectory()).toBe(true);
  });

  it('stays as it is when the entry is damaged', async () => {
    expectExit(await sandbox.run(['save', ...YARN]), 0);
    sandbox.alter((body) => body.fill(0, body.length >> 1, (body.length >> 1) + 9));
    writeFileSync(at('.pnp.cjs'), 'mine');
    wipe(sandbox.project, '.yarn');
    expectExit(await sandbox.run(['restore', ...YARN]), 3);
    expect(readFileSync(at('.pnp.cjs'), 'utf8')).toBe('mine');
    expect(existsSync(at('.yarn'))).toBe(false);
  });

  it('goes when the entry does not have it any more', async () => {
    wipe(sandbox.project, '.pnp.cjs');
    expectExit(await sandbox.run(['save', ...YARN]), 0);
    writeFileSync(at('.pnp.cjs'), 'old');
    writeFileSync(at('.yarn/cache/new'), '');
    wipe(sandbox.project, '.yarn/cache/.sandbox-cache-receipt.json');
    expectExit(await sandbox.run(['restore', ...YARN]), 0);
    expect(existsSync(at('.pnp.cjs'))).toBe(false);
  });

  it('shows in inspect, and its receipt is none of the repository’s business', async () => {
    execFileSync('git', ['init', '-q'], { cwd: sandbox.project });
    expectExit(await sandbox.run(['save', ...ALONE]), 0);
    expect(expectExit(await sandbox.run(['inspect', sandbox.key]), 0).stdout).toMatch(
      /^-0755 +\d+ .*\.pnp\.cjs$/m,
    );
    const status = execFileSync('git', ['status', '--porcelain'], { cwd: sandbox.project, encoding: 'utf8' });
    expect(status.split('\n').filter((line) => line.includes('sandbox-cache'))).toEqual([]);
  });

  it('is saved by ensure once the installer has made it', async () => {
    const text = readFileSync(at('.pnp.cjs'), 'utf8');
    writeFileSync(at('made'), text);
    wipe(sandbox.project, '.pnp.cjs');
    const install = ['--', 'cp', 'made', '.pnp.cjs'];
    expect(expectExit(await sandbox.run(['ensure', ...ALONE, ...install]), 0).stdout).toContain(
      'installed and saved',
    );
    wipe(sandbox.project, '.pnp.cjs');
    expect(expectExit(await sandbox.run(['ensure', ...ALONE, ...install]), 0).stdout).toContain('restored');
    expect(readFileSync(at('.pnp.cjs'), 'utf8')).toBe(text);
  });

  it('is no node_modules: a placeholder there is a miss, then refused by name', async () => {
    makeNpmProject(sandbox.project);
    expectExit(await sandbox.run(['save', 'npm']), 0);
    wipe(sandbox.project, 'node_modules');
    writeFileSync(at('node_modules'), '');
    expect(expectExit(await sandbox.run(['restore', 'npm']), 3).stderr).toMatch(
      /node_modules.*\[TARGET_REFUSED\]$/m,
    );
    writeFiles(sandbox.project, { 'package-lock.json': '{"lockfileVersion":3,"packages":{}}' });
    expectExit(await sandbox.run(['restore', 'npm']), 1);
    expect(lstatSync(at('node_modules')).isFile()).toBe(true);
  });
});

describe('a target that is a link', () => {
  it('is not packed where it leads to something else, however it is reached', async () => {
    writeFiles(sandbox.folder, { 'secrets/id_rsa': 'PRIVATE' });
    writeFiles(sandbox.project, { 'deps.lock': 'one\n' });
    symlinkSync('../secrets', at('deps'));
    const result = expectExit(await sandbox.run(['save', ...DEPS]), 3);
    expect(result.stderr).toMatch(/deps cannot be used: .*secrets.* \[TARGET_REFUSED\]$/m);
    expect(sandbox.keys).toEqual([]);
  });

  it('is not packed where the project itself is in it', async () => {
    writeFiles(sandbox.project, { 'deps.lock': 'one\n' });
    symlinkSync('..', at('deps'));
    expect(expectExit(await sandbox.run(['save', ...DEPS]), 3).stderr).toContain('[TARGET_REFUSED]');
    expect(sandbox.keys).toEqual([]);
  });

  it('is followed where it leads to a directory of its name, as a restore does', async () => {
    makeProject(sandbox.folder);
    writeFiles(sandbox.project, { 'deps.lock': 'one\n' });
    symlinkSync('../deps', at('deps'));
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    wipe(sandbox.folder, 'deps/tool', 'deps/.sandbox-cache-receipt.json');
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
    expect(readdirSync(join(sandbox.folder, 'deps/tool'))).toEqual(['data.txt', 'run.sh']);
    expect(readlinkSync(at('deps'))).toBe('../deps');
  });

  it("is stored once where a workspace's leads to the root's, and restores", async () => {
    const lock = (packages: object) => ({ name: 'app', version: '1.0.0', lockfileVersion: 3, packages });
    const packages = {
      'node_modules/one': { version: '1.0.0' },
      'packages/a/node_modules/two': { version: '1.0.0', optional: true, os: ['none'] },
    };
    makeNpmProject(sandbox.project);
    writeFiles(sandbox.project, {
      'package-lock.json': JSON.stringify(lock({ '': { dependencies: { one: '1.0.0' } }, ...packages })),
      'packages/a/package.json': '{}',
      'node_modules/.package-lock.json': JSON.stringify(lock({ 'node_modules/one': { version: '1.0.0' } })),
    });
    symlinkSync('../../node_modules', at('packages/a/node_modules'));
    expectExit(await sandbox.run(['save', 'npm', '--no-verify']), 0);
    const listed = expectExit(await sandbox.run(['inspect', sandbox.key]), 0).stdout;
    expect(listed).not.toContain('packages/a');
    wipe(sandbox.project, 'node_modules');
    expectExit(await sandbox.run(['restore', 'npm']), 0);
    expect(existsSync(at('packages/a/node_modules/one/index.js'))).toBe(true);
    expect(lstatSync(at('packages/a/node_modules')).isSymbolicLink()).toBe(true);
    expect(expectExit(await sandbox.run(['restore', 'npm']), 0).stdout).toContain('already in place');
  });
});

it('a forced save says "replaced" only where something was there', async () => {
  makeProject(sandbox.project);
  expect(expectExit(await sandbox.run(['save', ...DEPS, '--force']), 0).stdout).not.toContain('replaced');
  expect(expectExit(await sandbox.run(['save', ...DEPS, '--force']), 0).stdout).toContain('; replaced)');
});

it('a directory that is read-only itself is saved and restored, and restored over', async () => {
  makeProject(sandbox.project);
  chmodSync(at('deps'), 0o555);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  for (const before of ['nothing', 'the same']) {
    // An ordinary user removes nothing from a directory without this.
    chmodSync(at('deps'), 0o755);
    wipe(sandbox.project, before === 'nothing' ? 'deps' : 'deps/.sandbox-cache-receipt.json');
    if (before === 'the same') chmodSync(at('deps'), 0o555);
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
    expect(lstatSync(at('deps')).mode & 0o777).toBe(0o555);
  }
  chmodSync(at('deps'), 0o755);
});
