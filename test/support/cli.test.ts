import { mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { runScript, startProcess } from './cli.ts';
import { startDaemon } from './daemon.ts';
import { freePorts, waitForPort } from './ports.ts';

const root = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-test-')));
afterAll(() => rmSync(root, { recursive: true, force: true }));
const node = process.execPath;

it('passes on PATH, HOME, TMPDIR and what the test names, and nothing else', async () => {
  process.env['LEAKED_INTO_TESTS'] = '1';
  const { done } = await startProcess(node, ['-p', 'JSON.stringify(process.env)'], {
    cwd: root,
    env: { GIVEN: 'yes' },
  });
  const { code, stdout, ms } = await done;
  const env = JSON.parse(stdout) as Record<string, string>;
  expect(code).toBe(0);
  expect(env).toMatchObject({ GIVEN: 'yes', PATH: process.env['PATH'], HOME: `${root}.home` });
  expect(Object.keys(env).sort()).toEqual(['GIVEN', 'HOME', 'PATH', 'TMPDIR']);
  expect(ms).toBeGreaterThan(0);
  rmSync(`${root}.home`, { recursive: true });
});

it('keeps stdout, stderr, exit code and signal apart', async () => {
  const home = join(root, 'home');
  expect(await runScript('echo out; echo err >&2; exit 3', { cwd: root, home })).toMatchObject({
    code: 3,
    signal: null,
    stdout: 'out\n',
    stderr: 'err\n',
    timedOut: false,
  });
  expect(await runScript('kill -TERM $$', { cwd: root, home })).toMatchObject({
    code: null,
    signal: 'SIGTERM',
  });
  const echo = await startProcess('cat', [], { cwd: root, home, input: 'typed' });
  expect(await echo.done).toMatchObject({ stdout: 'typed', code: 0 });
});

it('ends what hangs, grandchildren included', async () => {
  const script = 'sleep 600 & sleep 600';
  const result = await runScript(script, { cwd: root, home: join(root, 'home'), timeoutMs: 300 });
  expect(result).toMatchObject({ timedOut: true, signal: 'SIGKILL' });
});

it('tells when something was printed, and when it will not be', async () => {
  const home = join(root, 'home');
  const running = await startProcess('bash', ['-c', 'echo ready >&2; read -r line; echo "$line"'], {
    cwd: root,
    home,
  });
  await running.printed('ready');
  await expect(running.printed('never')).rejects.toThrow('ended without printing "never"');
});

it('a daemon that ends at once is noticed, with its log', async () => {
  const [port = 0] = await freePorts(1);
  const logFile = join(root, 'daemon.log');
  const daemon = startDaemon(node, ['-e', 'console.log("went wrong"); process.exit(4)'], { logFile });
  const waiting = waitForPort(port, { deadlineMs: 30_000, alive: daemon.assertAlive });
  await expect(waiting).rejects.toThrow('ended (exit 4)');
  expect(await daemon.log()).toBe('went wrong\n');
  await daemon.stop();
});

it('a daemon that ignores SIGTERM is killed', async () => {
  const [port = 0] = await freePorts(1);
  const script = `process.on('SIGTERM', () => {}); require('net').createServer().listen(${port}, '127.0.0.1')`;
  const daemon = startDaemon(node, ['-e', script], { logFile: join(root, 'deaf.log'), graceMs: 100 });
  await waitForPort(port, { deadlineMs: 30_000, alive: daemon.assertAlive });
  await daemon.stop();
  expect(() => daemon.assertAlive()).toThrow('ended (exit SIGKILL)');
});
