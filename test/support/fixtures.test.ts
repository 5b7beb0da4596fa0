import { execFile } from 'node:child_process';
import { existsSync, lstatSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { copyTree, describeFixture, sharedFixture } from './fixtures.ts';
import { bundleEnvironment } from './gem-project.ts';
import { makeRandomTree, snapshotTree } from './tree.ts';

const run = promisify(execFile);
const root = mkdtempSync(join(tmpdir(), 'sandbox-cache-test-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

describeFixture('the npm project', await sharedFixture('npm'), ({ folder }) => {
  it('has a native module, bin links, a scope, a workspace and a version conflict', () => {
    const lock = JSON.parse(readFileSync(join(folder, 'node_modules/.package-lock.json'), 'utf8')) as {
      packages: Record<string, { optional?: boolean; link?: boolean; version?: string }>;
    };
    const native = Object.entries(lock.packages).filter(([name]) => name.includes('@parcel/watcher-'));
    expect(native.length).toBeGreaterThan(0);
    expect(
      native.every(([name, { optional }]) => optional && existsSync(join(folder, name, 'watcher.node'))),
    ).toBe(true);
    expect(lstatSync(join(folder, 'node_modules/.bin/semver')).isSymbolicLink()).toBe(true);
    expect(lstatSync(join(folder, 'node_modules/@fixture/app')).isSymbolicLink()).toBe(true);
    expect(lock.packages['packages/app/node_modules/semver']?.version).toBe('5.7.2');
    expect(lock.packages['node_modules/semver']?.version).toBe('7.7.2');
  });

  it('works when copied', async () => {
    const copy = join(root, 'npm');
    await copyTree(folder, copy);
    expect(snapshotTree(copy)).toEqual(snapshotTree(folder));
    await expect(run('npm', ['ls', '--all', '--loglevel=error'], { cwd: copy })).resolves.toBeDefined();
    await run(process.execPath, ['-e', "require('@parcel/watcher')"], { cwd: copy });
  });
});

describeFixture('the gem project', await sharedFixture('gems'), ({ folder }) => {
  it('works when copied, C extension included', async () => {
    const copy = join(root, 'gems');
    await copyTree(folder, copy);
    const options = { cwd: copy, env: bundleEnvironment(copy) };
    await run('bundle', ['check'], options);
    const { stdout } = await run('bundle', ['exec', 'fixture-greet'], options);
    expect(stdout).toBe('twice 21 is 42\n');
    rmSync(join(copy, 'vendor'), { recursive: true });
    await expect(run('bundle', ['check'], options)).rejects.toThrow('fixture-native');
  });
});

describe('trees', () => {
  it('are the same for the same seed and differ for another', () => {
    makeRandomTree(join(root, 'a'), { seed: 7 });
    makeRandomTree(join(root, 'b'), { seed: 7 });
    makeRandomTree(join(root, 'c'), { seed: 8 });
    const [a, b, c] = ['a', 'b', 'c'].map((name) => snapshotTree(join(root, name)));
    expect(Object.keys(a ?? {}).length).toBeGreaterThan(60);
    expect(b).toEqual(a);
    expect(c).not.toEqual(a);
    const types = new Set(Object.values(a ?? {}).map(({ type }) => type));
    expect([...types].sort()).toEqual(['directory', 'file', 'symlink']);
    expect(Object.values(a ?? {}).some(({ sameFileAs }) => sameFileAs !== undefined)).toBe(true);
  });
});
