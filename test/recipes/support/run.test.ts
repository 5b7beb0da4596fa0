import { mkdtempSync, readFileSync, rmSync, watch, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { CacheError } from '../../../src/errors.ts';
import { runCommand, type RunOptions } from '../../../src/recipes/support/run.ts';
import type { Command, Project } from '../../../src/recipes/support/recipe.ts';

let project: Project;
const never = new AbortController().signal;

beforeAll(() => {
  const dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-run-'));
  project = { dir, lockfile: 'x.lock', env: { PATH: process.env['PATH'] ?? '', FROM_PROJECT: 'p' } };
});
afterAll(() => rmSync(project.dir, { recursive: true }));

const sh = (script: string): Command => ({ argv: ['sh', '-c', script], env: {} });
const captured = (signal: AbortSignal = never): RunOptions => ({ project, output: 'capture', signal });

/** Resolves when the file has appeared in the project. */
function appears(name: string): Promise<void> {
  return new Promise((resolve) => {
    const watcher = watch(project.dir, (_, changed) => {
      if (changed !== name) return;
      watcher.close();
      resolve();
    });
  });
}

/** A zombie has ended: in a container nobody may be there to bury it. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return process.platform !== 'linux' || !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'latin1'));
  } catch {
    return false;
  }
}

describe('runCommand', () => {
  it('runs in the project, with its environment and the command’s own', async () => {
    const command = { argv: ['sh', '-c', 'pwd -P; echo $FROM_PROJECT $OWN'], env: { OWN: 'o' } } as const;
    const { status, stdout } = await runCommand(command, captured());
    expect([status, stdout.trim().split('\n').at(-1)]).toEqual([0, 'p o']);
  });

  it('passes the status on, and a signal as shells do', async () => {
    expect((await runCommand(sh('exit 7'), captured())).status).toBe(7);
    expect((await runCommand(sh('kill -9 $$'), captured())).status).toBe(137);
  });

  it('uses no shell', async () => {
    const { stdout } = await runCommand({ argv: ['printf', '%s', '$HOME; exit 1'], env: {} }, captured());
    expect(stdout).toBe('$HOME; exit 1');
  });

  it('gives it nothing to read', async () => {
    expect((await runCommand(sh('cat; echo end'), captured())).stdout).toBe('end\n');
  });

  it('keeps the end of a long output', async () => {
    const { stdout, stderr } = await runCommand(sh('seq 1 100000; echo last; echo wrong >&2'), captured());
    expect(stdout).toMatch(/99999\n100000\nlast\n$/);
    expect(stdout.length).toBeLessThanOrEqual(64 * 1024);
    expect(stderr).toBe('wrong\n');
  });

  it('does not wait for a daemon that holds the output open', async () => {
    const { status, stdout } = await runCommand(sh('sleep 30 & echo $! > daemon; echo done'), captured());
    expect([status, stdout]).toEqual([0, 'done\n']);
    const daemon = Number(readFileSync(join(project.dir, 'daemon'), 'utf8'));
    expect(isAlive(daemon)).toBe(true);
    process.kill(daemon);
  });

  it('names a program that is not there, and where it looked', async () => {
    const env = { PATH: '/nowhere' };
    await expect(
      runCommand({ argv: ['bundle', 'install'], env: {} }, { ...captured(), project: { ...project, env } }),
    ).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
      message: 'There is no program bundle; PATH is /nowhere',
    });
    await expect(runCommand({ argv: ['bin/setup'], env: {} }, captured())).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
      message: 'There is no program bin/setup',
    });
  });

  it('finds a program of the project', async () => {
    writeFileSync(join(project.dir, 'setup'), '#!/bin/sh\necho here\n', { mode: 0o755 });
    expect((await runCommand({ argv: ['./setup'], env: {} }, captured())).stdout).toBe('here\n');
  });

  it('says so when a program cannot be started', async () => {
    writeFileSync(join(project.dir, 'garbage'), '#!/no/such/interpreter\n', { mode: 0o755 });
    await expect(runCommand({ argv: ['./garbage'], env: {} }, captured())).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
      message: './garbage cannot be started (ENOENT)',
    });
  });
});

describe('an abort', () => {
  const reason = new CacheError('INTERRUPTED', 'Interrupted by SIGTERM');

  it('ends the program and what it started, and rejects with its reason', async () => {
    const controller = new AbortController();
    const started = appears('pids');
    const running = runCommand(
      sh('sleep 60 & sleep 60 & jobs -p > pids.new; mv pids.new pids; wait'),
      captured(controller.signal),
    );
    await started;
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    const pids = readFileSync(join(project.dir, 'pids'), 'utf8').trim().split('\n').map(Number);
    expect(pids).toHaveLength(2);
    await expect.poll(() => pids.filter(isAlive)).toEqual([]);
  });

  it('ends a child that does not listen to it, though its parent does', async () => {
    const controller = new AbortController();
    const started = appears('child');
    // The child says who it is when it has stopped listening, not before.
    const child = "trap '' TERM; echo $$ > child.new; mv child.new child; while :; do sleep 0.1; done";
    const running = runCommand(
      sh(`sh -c "${child.replaceAll('$', '\\$')}" & wait`),
      captured(controller.signal),
    );
    await started;
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
    const pid = Number(readFileSync(join(project.dir, 'child'), 'utf8'));
    await expect.poll(() => isAlive(pid)).toBe(false);
  });

  it('ends one that does not listen', async () => {
    const controller = new AbortController();
    const started = appears('stubborn');
    const running = runCommand(
      sh("trap '' TERM; echo > stubborn; while :; do sleep 0.1; done"),
      captured(controller.signal),
    );
    await started;
    controller.abort(reason);
    await expect(running).rejects.toBe(reason);
  });

  it('that came before starts nothing', async () => {
    await expect(runCommand(sh('echo > never'), captured(AbortSignal.abort(reason)))).rejects.toBe(reason);
    expect(() => readFileSync(join(project.dir, 'never'))).toThrow('ENOENT');
  });
});
