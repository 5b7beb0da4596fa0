/** SIGINT and SIGTERM while the server holds the command half-way: gone within 2 s, with nothing half-written. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import type { Fault } from '../support/s3-server.ts';
import {
  debris,
  DEPS,
  expectExit,
  makeProject,
  treeOf,
  useSandbox,
  wipe,
  type CliResult,
  type RunningCli,
} from './support.ts';

const sandbox = useSandbox();
/** How each one ends the process: by itself, or with this exit code. */
const SIGNALS = [
  ['SIGINT', null],
  ['SIGTERM', 143],
  ['SIGHUP', 129],
] as const;

/** Sends the signal and waits for the end. @returns milliseconds between the two */
async function interrupt(running: RunningCli, signal: NodeJS.Signals, code: number | null): Promise<number> {
  const began = performance.now();
  running.child.kill(signal);
  const result = expectEnd(await running.done, signal, code);
  expect(result.stderr).toBe(`[cache] error: Stopped by ${signal} [INTERRUPTED]\n`);
  expect(result.stdout).toBe('');
  return performance.now() - began;
}

function expectEnd(result: CliResult, signal: NodeJS.Signals, code: number | null): CliResult {
  if (code !== null) return expectExit(result, code);
  expect({ code: result.code, signal: result.signal }).toEqual({ code, signal });
  return result;
}

/** Holds every request that matches. @returns a function that resolves when one is held */
function hold(match: Fault['match'], at: { requestBytes?: number } = {}): () => Promise<void> {
  let hits = 0;
  const counted: Fault['match'] = (request) => match(request) && ++hits > 0;
  sandbox.server.faults.add({ match: counted, times: 1000, effect: { type: 'stall', ...at } });
  return () => expect.poll(() => hits, { timeout: 20_000 }).toBeGreaterThan(0);
}

describe.each(SIGNALS)('%s', (signal, code) => {
  it('during a restore: the staging area is gone, the old tree is untouched', async () => {
    makeProject(sandbox.project, { bigBytes: 20_000_000 });
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    makeProject(sandbox.project, { bigBytes: 1000 });
    wipe(sandbox.project, 'deps/.sandbox-cache-receipt.json');
    const before = treeOf(join(sandbox.project, 'deps'));
    // The first range comes, and is unpacked; the others do not.
    const held = hold(({ operation, range }) => operation === 'GetObject' && !range?.startsWith('bytes=0-'));
    const running = await sandbox.start(['restore', ...DEPS]);
    await held();
    const unpacked = (): boolean => debris(sandbox.project).some((path) => path.endsWith('big.bin'));
    await expect.poll(unpacked, { timeout: 20_000 }).toBe(true);
    expect(await interrupt(running, signal, code)).toBeLessThan(2000);
    expect(debris(sandbox.project)).toEqual([]);
    expect(treeOf(join(sandbox.project, 'deps'))).toEqual(before);

    sandbox.server.faults.clear();
    expectExit(await sandbox.run(['restore', ...DEPS]), 0);
  });

  it('during a lookup that is not answered', async () => {
    makeProject(sandbox.project);
    const held = hold(({ operation }) => operation === 'GetObject');
    const running = await sandbox.start(['restore', ...DEPS]);
    await held();
    expect(await interrupt(running, signal, code)).toBeLessThan(2000);
  });

  it.each([
    ['UploadPart', { requestBytes: 100_000 }],
    ['CompleteMultipartUpload', {}],
  ] as const)(
    'during a save, at %s: the multipart upload is aborted, there is no entry',
    async (operation, at) => {
      makeProject(sandbox.project, { bigBytes: 30_000_000 });
      const held = hold((request) => request.operation === operation, at);
      const running = await sandbox.start(['save', ...DEPS]);
      await held();
      expect(sandbox.uploads).toBe(1);
      expect(await interrupt(running, signal, code)).toBeLessThan(2000);
      expect(sandbox.uploads).toBe(0);
      expect(sandbox.keys).toEqual([]);
      expect(existsSync(join(sandbox.project, 'deps/.sandbox-cache-receipt.json'))).toBe(false);

      sandbox.server.faults.clear();
      expectExit(await sandbox.run(['save', ...DEPS]), 0);
    },
  );

  it('during the install of ensure: the installer is told too', async () => {
    makeProject(sandbox.project);
    const install = 'trap "echo told; exit 1" INT TERM; echo begun; while :; do sleep 0.05; done';
    const running = await sandbox.start(['ensure', ...DEPS, '--', 'bash', '-c', install]);
    await running.printed('begun');
    running.child.kill(signal);
    const result = expectEnd(await running.done, signal, code);
    expect(result.stdout).toContain('told');
  });
});

it('a second signal quits at once, even while the installer does not', async () => {
  makeProject(sandbox.project);
  const install = 'trap "echo told" INT TERM; echo $$ >pid; echo begun; while :; do sleep 0.05; done';
  const running = await sandbox.start(['ensure', ...DEPS, '--', 'bash', '-c', install]);
  await running.printed('begun');
  running.child.kill('SIGINT');
  await running.printed('told');
  const began = performance.now();
  running.child.kill('SIGTERM');
  const by = await new Promise((resolve) => running.child.once('exit', (_, signal) => resolve(signal)));
  // Long before a single signal would have ended it.
  expect(performance.now() - began).toBeLessThan(1000);
  expect(by).toBe('SIGINT');
  process.kill(Number(readFileSync(join(sandbox.project, 'pid'), 'utf8')), 'SIGKILL');
  await running.done;
});
