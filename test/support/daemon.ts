/** Programs that serve for a while: started in the foreground as our children, so that stopping them never guesses a pid. */
import { execFile, spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { openSync, closeSync } from 'node:fs';
import { promisify } from 'node:util';
import { pathOf } from './programs.ts';

const run = promisify(execFile);

/** The full path of a program on PATH, or undefined. */
export async function findProgram(name: string): Promise<string | undefined> {
  return pathOf(name);
}

/** Runs a program to its end. @throws Error with its stderr when it fails or takes longer than `timeout` (30 s) */
export async function runProgram(file: string, args: readonly string[], timeout = 30_000): Promise<string> {
  const { stdout } = await run(file, args, { timeout, maxBuffer: 16 * 1024 * 1024 });
  return stdout;
}

export interface Daemon {
  /** @throws Error with the end of its log when it has exited */
  assertAlive(): void;
  log(): Promise<string>;
  /** SIGTERM, after `graceMs` SIGKILL; resolves when it is gone. Safe to call twice. */
  stop(): Promise<void>;
}

export function startDaemon(file: string, args: readonly string[], options: DaemonOptions): Daemon {
  const log = openSync(options.logFile, 'a');
  const child = spawn(file, args, {
    stdio: ['ignore', log, log],
    env: options.env ?? process.env,
    cwd: options.cwd,
  });
  closeSync(log);
  let ended: string | undefined;
  child.once('error', (error) => (ended = error.message));
  child.once('exit', (code, signal) => (ended = `exit ${code ?? signal}`));
  // The last resort, for a run that dies without its tear-down.
  const killNow = (): void => void child.kill('SIGKILL');
  process.once('exit', killNow);
  return {
    assertAlive() {
      if (ended !== undefined) throw new Error(`${file} ended (${ended}); its log: ${options.logFile}`);
    },
    log: () => readFile(options.logFile, 'utf8'),
    async stop() {
      if (ended === undefined) await stopChild(child, options.graceMs ?? 5000);
      process.off('exit', killNow);
    },
  };
}

export interface DaemonOptions {
  /** Its stdout and stderr. */
  logFile: string;
  cwd?: string;
  /** @default this process's environment */
  env?: NodeJS.ProcessEnv;
  /** How long it may take to end by itself. @default 5000 */
  graceMs?: number;
}

async function stopChild(child: ChildProcess, graceMs: number): Promise<void> {
  await new Promise<void>((resolve) => {
    const timer = setTimeout(() => child.kill('SIGKILL'), graceMs);
    child.once('exit', () => {
      clearTimeout(timer);
      resolve();
    });
    child.kill('SIGTERM');
  });
}
