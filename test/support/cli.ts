/** Runs the built command as a user's shell would: a process of its own, and only the environment that the test names. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, symlink } from 'node:fs/promises';
import { join } from 'node:path';

export const CLI = new URL('../../bin/sandbox-cache.js', import.meta.url).pathname;

export interface CliOptions {
  cwd: string;
  /** Beside PATH, HOME and TMPDIR, which is HOME too, nothing else is passed on. */
  env?: Readonly<Record<string, string | undefined>>;
  /** @default an empty folder `.home` beside `cwd`, so that no configuration of this machine's user counts */
  home?: string;
  /** Killed with SIGKILL after this long, its children too; the result says `timedOut`. @default 120000 */
  timeoutMs?: number;
  /** Fed to stdin, which is empty otherwise. */
  input?: string;
  /** Who runs it: takes root. @default this user */
  user?: { uid: number; gid: number };
}

export interface CliResult {
  /** The exit code; null when a signal ended it. */
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
  /** Wall time from spawn to the end of its output. */
  ms: number;
  timedOut: boolean;
}

export interface RunningCli {
  child: ChildProcess;
  done: Promise<CliResult>;
  /** Resolves once stdout or stderr contains the text; rejects when it ends without. */
  printed(text: string): Promise<void>;
}

export async function runCli(args: readonly string[], options: CliOptions): Promise<CliResult> {
  return (await startCli(args, options)).done;
}

export function startCli(args: readonly string[], options: CliOptions): Promise<RunningCli> {
  return startProcess(process.execPath, [CLI, ...args], options);
}

/** A shell script under the same clean environment, with `sandbox-cache` on its PATH. */
export async function runScript(
  script: string,
  options: CliOptions & { shell?: string },
): Promise<CliResult> {
  const bin = join(options.home ?? homeBeside(options.cwd), 'bin');
  await mkdir(bin, { recursive: true });
  await symlink(CLI, join(bin, 'sandbox-cache')).catch(ignoreExisting);
  const PATH = `${bin}:${options.env?.['PATH'] ?? process.env['PATH'] ?? ''}`;
  const running = await startProcess(options.shell ?? 'bash', ['-c', script], {
    ...options,
    env: { ...options.env, PATH },
  });
  return running.done;
}

/** Any program under the same rules. */
export async function startProcess(
  file: string,
  args: readonly string[],
  options: CliOptions,
): Promise<RunningCli> {
  const { cwd, timeoutMs = 120_000 } = options;
  const HOME = options.home ?? homeBeside(cwd);
  await mkdir(HOME, { recursive: true });
  const started = performance.now();
  const env = { PATH: process.env['PATH'], HOME, TMPDIR: HOME, ...options.env };
  const child = spawn(file, args, {
    cwd,
    env,
    ...options.user,
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  child.stdin.on('error', () => undefined).end(options.input ?? '');
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  let timedOut = false;
  const timer = setTimeout(() => {
    timedOut = true;
    killGroup(child);
  }, timeoutMs);
  const done = new Promise<CliResult>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code, signal) => {
      clearTimeout(timer);
      resolve({ code, signal, stdout, stderr, ms: performance.now() - started, timedOut });
    });
  });
  return {
    child,
    done,
    printed: (text) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          if (stdout.includes(text) || stderr.includes(text)) resolve();
        };
        child.stdout.on('data', look);
        child.stderr.on('data', look);
        child.once('close', () => reject(new Error(`ended without printing "${text}":\n${stdout}${stderr}`)));
        look();
      }),
  };
}

/** The whole process group: an installer that hangs is a grandchild, and holds our pipes open. */
function killGroup(child: ChildProcess): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function homeBeside(cwd: string): string {
  return `${cwd.replace(/\/+$/, '')}.home`;
}

function ignoreExisting(error: NodeJS.ErrnoException): void {
  if (error.code !== 'EEXIST') throw error;
}
