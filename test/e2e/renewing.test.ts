/** What is used stays: an entry that has grown old is renewed by whoever restores it, or finds it saved. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEPS, expectExit, makeProject, useSandbox, wipe, writeFiles } from './support.ts';

const sandbox = useSandbox();
const DAY = 24 * 60 * 60 * 1000;

/** A saved entry of that age, which is not in place. */
async function saved(days: number): Promise<void> {
  makeProject(sandbox.project);
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  age(days);
  wipe(sandbox.project, 'deps');
  sandbox.server.requests.length = 0;
}

function age(days: number): void {
  const object = sandbox.server.bucket(sandbox.bucket).objects.get(sandbox.key)!;
  object.modified = new Date(Math.floor(Date.now() / 1000) * 1000 - days * DAY);
}

const ageInDays = (): number =>
  (Date.now() - sandbox.server.bucket(sandbox.bucket).objects.get(sandbox.key)!.modified.getTime()) / DAY;
const copies = (): number => sandbox.server.count('CopyObject');
const RENEWED = /^\[cache\] Renewed, because it is in use: s3:\/\/.*$/m;

describe('restore', () => {
  it('renews an entry that is older than a week, once, and the next one is good', async () => {
    await saved(8);
    expect(expectExit(await sandbox.run(['restore', ...DEPS, '--verbose']), 0).stderr).toMatch(RENEWED);
    expect(ageInDays()).toBeLessThan(1);
    wipe(sandbox.project, 'deps');
    expect(expectExit(await sandbox.run(['restore', ...DEPS, '--verbose']), 0).stderr).not.toMatch(RENEWED);
    expect(copies()).toBe(1);
  });

  it('leaves one of six days', async () => {
    await saved(6);
    expectExit(await sandbox.run(['restore', ...DEPS, '--verbose']), 0);
    expect(copies()).toBe(0);
  });

  it('tries it once a day', async () => {
    await saved(8);
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'CopyObject',
      times: 9,
      effect: { type: 'error', status: 403, code: 'AccessDenied' },
    });
    for (let n = 0; n < 2; n++) {
      wipe(sandbox.project, 'deps');
      const { stderr } = expectExit(await sandbox.run(['restore', ...DEPS, '--verbose']), 0);
      expect(stderr).not.toMatch(/Renewed|denied|warning|rror/);
    }
    expect(copies()).toBe(1);
  });

  it('never does it read-only', async () => {
    await saved(8);
    expectExit(await sandbox.run(['restore', ...DEPS, '--verbose'], { env: { CACHE_READONLY: 'true' } }), 0);
    expect(copies()).toBe(0);
  });

  it('does not wait for a service that does not get it done', async () => {
    await saved(8);
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'CopyObject',
      effect: { type: 'stall' },
    });
    // The stall limit is 60 s.
    expectExit(await sandbox.run(['restore', ...DEPS, '--verbose'], { timeoutMs: 15_000 }), 0);
    expect(copies()).toBe(1);
  });

  it('renews the original of a copy that is near', async () => {
    await saved(1);
    const env = { CACHE_LOCAL_DIR: join(sandbox.folder, 'near') };
    expectExit(await sandbox.run(['restore', ...DEPS, '--verbose'], { env }), 0);
    age(8);
    wipe(sandbox.project, 'deps');
    const { stdout, stderr } = expectExit(await sandbox.run(['restore', ...DEPS, '--verbose'], { env }), 0);
    expect(stdout).toContain('local');
    expect(stderr).toMatch(RENEWED);
    wipe(sandbox.project, 'deps');
    // The copy is still one of it.
    expect(expectExit(await sandbox.run(['restore', ...DEPS, '--verbose'], { env }), 0).stdout).toContain(
      'local',
    );
  });
});

it.each(['save', 'warm'])('%s renews an old entry that it finds', async (command) => {
  await saved(8);
  makeProject(sandbox.project);
  const recipe = { lockfiles: ['deps.lock'], paths: ['deps'], install: ['false'] };
  writeFiles(sandbox.project, { '.sandbox-cache.json': JSON.stringify({ recipes: { deps: recipe } }) });
  expect(expectExit(await sandbox.run([command, 'deps', '--verbose']), 0).stderr).toMatch(RENEWED);
  expect(ageInDays()).toBeLessThan(1);
});
