/** One run at a time in a project: who comes second waits, says for whom, and gives up in the end. */
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { debris, DEPS, expectExit, makeProject, type RunningCli, useSandbox, wipe } from './support.ts';

const sandbox = useSandbox();

/** A restore that has all but the end of its entry, and gets no more. */
async function stuckRestore(): Promise<RunningCli> {
  makeProject(sandbox.project, { bigBytes: 20_000_000 });
  expectExit(await sandbox.run(['save', ...DEPS]), 0);
  wipe(sandbox.project, 'deps');
  sandbox.server.faults.add({
    match: ({ operation, range }) => operation === 'GetObject' && !range?.startsWith('bytes=0-'),
    times: 1000,
    effect: { type: 'stall' },
  });
  const running = await sandbox.start(['restore', ...DEPS]);
  const isStaging = (): boolean => debris(sandbox.project).some((path) => path.endsWith('big.bin'));
  await expect.poll(isStaging, { timeout: 20_000 }).toBe(true);
  return running;
}

describe('a restore while another one is at work', () => {
  it('says for whom it waits, and gives up with TARGET_BUSY at its deadline', async () => {
    const first = await stuckRestore();
    try {
      const second = expectExit(await sandbox.run(['restore', ...DEPS], { env: { CACHE_TIMEOUT: '1' } }), 3);
      const lines = second.stderr.split('\n');
      expect(lines[0]).toMatch(
        /^\[cache\] warning: Waiting for another run at work on deps: process \d+ on /,
      );
      expect(lines[1]).toMatch(
        /^\[cache\] error: Another run is still at work here \(process \d+ .* \[TARGET_BUSY\]$/,
      );
    } finally {
      first.child.kill('SIGKILL');
      await first.done;
    }
  });

  it('does not wait for it in a copy of the project', async () => {
    const first = await stuckRestore();
    const copy = join(sandbox.folder, 'copy');
    try {
      first.child.kill('SIGSTOP');
      await sandbox.script(`cp -a "${sandbox.project}" "${copy}"`);
      sandbox.server.faults.clear();
      const second = expectExit(await sandbox.run(['restore', ...DEPS], { cwd: copy }), 0);
      expect(second.stderr).toBe('');
      expect(debris(copy)).toEqual([]);
    } finally {
      first.child.kill('SIGKILL');
      await first.done;
    }
  });
});
