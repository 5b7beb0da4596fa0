/** A file system that does not answer: the process is gone at its deadline, and within 2 s of a signal, whichever thread waits. */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CLI, startProcess, type RunningCli } from '../support/cli.ts';
import { mountFoldingDisk, whyNoFolding, type FoldingDisk } from '../support/folding.ts';
import { DEPS, expectExit, makeProject, useSandbox, wipe } from './support.ts';

const reason = whyNoFolding();
/** There, another thread may take a signal in the main thread's place, and nothing shows that it waits. */
const signalsAreSeen = Number.parseInt(process.versions.node, 10) < 24;
const sandbox = useSandbox();

describe.skipIf(reason !== undefined)(`a file system that does not answer (${reason ?? 'FUSE'})`, () => {
  let disk: FoldingDisk;
  beforeEach(async () => {
    disk = await mountFoldingDisk();
  });
  afterEach(() => disk.unmount());

  describe('as the store', () => {
    let env: Record<string, string>;
    beforeEach(async () => {
      env = { CACHE_S3_BUCKET: '', CACHE_LOCAL_DIR: join(disk.path, 'store') };
      makeProject(sandbox.project);
      expectExit(await sandbox.run(['save', ...DEPS], { env }), 0);
      wipe(sandbox.project, 'deps');
      disk.freeze();
    });

    it('is gone at the deadline', async () => {
      const result = await sandbox.run(['restore', ...DEPS], { env: { ...env, CACHE_TIMEOUT: '1' } });
      expect(result).toMatchObject({ signal: 'SIGKILL', timedOut: false });
    });

    it.runIf(signalsAreSeen).each(['SIGTERM', 'SIGINT', 'SIGHUP'] as const)(
      'is gone after %s',
      async (name) => {
        const running = await sandbox.start(['restore', ...DEPS], { env });
        await isStuck(running);
        const { child } = running;
        // Again and again: one that comes while the watchdog's thread is being made may be lost in that.
        const isGone = (): boolean => child.signalCode !== null || !child.kill(name);
        await expect.poll(isGone, { timeout: 20_000, interval: 500 }).toBe(true);
        const { signal, timedOut } = await running.done;
        // By itself, where it is not the main thread that waits.
        expect([name, 'SIGKILL']).toContain(signal);
        expect(timedOut).toBe(false);
      },
    );
  });

  describe('as the project: the main thread waits', () => {
    /** A save that waits for the disk, from the middle of its work on. */
    async function stuckSave(env: Record<string, string>): Promise<RunningCli> {
      const cwd = join(disk.path, 'project');
      mkdirSync(cwd);
      makeProject(cwd);
      let release = (): void => {};
      const released = new Promise<void>((resolve) => (release = resolve));
      let lookups = 0;
      sandbox.server.faults.add({
        match: ({ operation }) => operation === 'GetObject',
        effect: { type: 'before', run: () => (lookups++, released) },
      });
      // A file: what the watchdog says is for anything but a socket, which our own pipes to children are.
      const script = `exec ${process.execPath} ${CLI} save ${DEPS.join(' ')} 2>${said()}`;
      const options = { cwd, home: sandbox.folder, env: { ...sandbox.env, ...env } };
      const running = await startProcess('bash', ['-c', script], options);
      await expect.poll(() => lookups, { timeout: 20_000 }).toBe(1);
      disk.freeze();
      release();
      await isStuck(running);
      return running;
    }

    const said = (): string => join(sandbox.folder, 'stderr');

    it.runIf(signalsAreSeen)('is gone soon after a signal that the main thread never takes', async () => {
      const running = await stuckSave({});
      running.child.kill('SIGTERM');
      expect(await running.done).toMatchObject({ signal: 'SIGKILL', timedOut: false });
      expect(readFileSync(said(), 'utf8')).toMatch(/a signal came, and a file system does not answer/);
    });

    it('is gone at the deadline', async () => {
      const running = await stuckSave({ CACHE_TIMEOUT: '3' });
      expect(await running.done).toMatchObject({ signal: 'SIGKILL', timedOut: false });
      expect(readFileSync(said(), 'utf8')).toMatch(/its time is over, and a file system does not answer/);
    });
  });

  it.runIf(signalsAreSeen).each([['restore'], ['save']])(
    'as the target of a %s, before its work has begun',
    async (command) => {
      makeProject(sandbox.project);
      wipe(sandbox.project, 'deps');
      const deps = join(sandbox.project, 'deps');
      mkdirSync(deps);
      execFileSync('mount', ['--bind', disk.path, deps]);
      try {
        disk.freeze();
        const late = await sandbox.run([command, ...DEPS], { env: { CACHE_TIMEOUT: '1' } });
        expect(late).toMatchObject({ signal: 'SIGKILL', timedOut: false });
        const running = await sandbox.start([command, ...DEPS]);
        await isStuck(running);
        running.child.kill('SIGTERM');
        // By the signal itself, where that comes before the handlers.
        expect((await running.done).signal).toMatch(/^SIG(TERM|KILL)$/);
      } finally {
        execFileSync('umount', ['-l', deps]);
      }
    },
  );
});

/** Resolves once a thread of the process waits in the kernel for a FUSE file system. */
async function isStuck({ child }: RunningCli): Promise<void> {
  const tasks = `/proc/${child.pid}/task`;
  const look = (): boolean =>
    readdirSync(tasks).some((task) => readFileSync(`${tasks}/${task}/stack`, 'latin1').includes('fuse'));
  await expect.poll(look, { timeout: 20_000 }).toBe(true);
}
