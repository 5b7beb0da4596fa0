/** Several processes of one node, one CACHE_LOCAL_DIR: one fetches, the others wait for its copy. Through the built command. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { DEPS, expectExit, makeProject, treeOf, useSandbox, writeFiles } from './support.ts';

const sandbox = useSandbox();

describe('several restores at once on one node', () => {
  const project = (n: number): string => join(sandbox.folder, `project-${n}`);
  const local = (): Record<string, string> => ({ CACHE_LOCAL_DIR: join(sandbox.folder, 'near') });
  const fetches = (): number =>
    sandbox.server.requests.filter(
      ({ operation, range }) => operation === 'GetObject' && range !== 'bytes=0-0',
    ).length;
  const place = async (count: number): Promise<void> => {
    makeProject(sandbox.project, { bigBytes: 1_000_000 });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    for (let n = 0; n < count; n++) writeFiles(project(n), { 'deps.lock': 'one\n' });
    mkdirSync(local()['CACHE_LOCAL_DIR']!);
    sandbox.server.requests.length = 0;
  };

  it('one fetches the entry, the others wait and use its copy', async () => {
    await place(5);
    // In some twenty pieces: whoever starts in that time waits, and whoever is later finds the copy.
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'GetObject',
      effect: { type: 'trickle', bytes: 400_000, everyMs: 100 },
    });
    const runs = await Promise.all(
      [0, 1, 2, 3, 4].map((n) => sandbox.run(['restore', ...DEPS], { cwd: project(n), env: local() })),
    );
    for (const run of runs) expectExit(run, 0);
    expect(fetches()).toBe(1);
    for (let n = 0; n < 5; n++)
      expect(treeOf(join(project(n), 'deps'))).toEqual(treeOf(join(sandbox.project, 'deps')));
  });

  it('one that is killed frees the others', async () => {
    await place(2);
    sandbox.server.faults.add({
      match: ({ operation }) => operation === 'GetObject',
      effect: { type: 'stall', responseBytes: 1000 },
    });
    const leader = await sandbox.start(['restore', ...DEPS], { cwd: project(0), env: local() });
    await expect.poll(() => fetches()).toBe(1);
    const follower = await sandbox.start(['restore', ...DEPS], {
      cwd: project(1),
      env: { ...local(), CACHE_VERBOSE: 'true' },
    });
    await follower.printed('Another process is downloading it: waiting for its copy');
    leader.child.kill('SIGKILL');
    expectExit(await follower.done, 0);
    expect(fetches()).toBe(2);
  });
});
