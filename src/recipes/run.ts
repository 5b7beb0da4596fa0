import type { ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import { CacheError, systemCode } from '../errors.ts';
import type { Command, Project } from './recipe.ts';
import { requireProgram } from './which.ts';

export interface RunOptions {
  project: Project;
  /** Where what it prints goes: to our own stdout and stderr, all to our stderr, or into the result. */
  output: 'inherit' | 'stderr' | 'capture';
  /** An abort ends the whole process group; the call then rejects with the signal's reason. */
  signal: AbortSignal;
}

export interface RunResult {
  /** Exit status; 128 + the signal's number when a signal ended it, as shells have it. */
  status: number;
  /** With `capture`: the end of stdout and of stderr, at most 64 KiB each. */
  stdout: string;
  stderr: string;
}

/** Time to end in peace, ms: a run has 2 s to end after a signal. */
const GRACE_MS = 1000;
/** Time for the last output after the program's end, ms: a daemon it left behind may hold the pipe open. */
const DRAIN_MS = 200;
const CAPTURE_BYTES = 64 * 1024;

/**
 * Runs a program in the project directory, without a shell and with nothing on stdin: in `while read …; do ensure …`
 * an installer would swallow the loop's input.
 * @throws CacheError RUNTIME_MISSING when there is no such program.
 */
export async function runCommand(command: Command, options: RunOptions): Promise<RunResult> {
  const { project, output, signal } = options;
  // Most runs start nothing: they need not load it.
  const { spawn } = await import('node:child_process');
  signal.throwIfAborted();
  const [program, ...args] = command.argv;
  const path = requireProgram(program, project);
  const child = spawn(path, args, {
    argv0: program,
    cwd: project.dir,
    env: { ...project.env, ...command.env },
    // Its own process group, so that an abort reaches what it started too.
    detached: true,
    stdio: ['ignore', ...OUTPUTS[output]],
  });
  const stdout = tail(child.stdout);
  const stderr = tail(child.stderr);
  const stop = (): void => terminate(child);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const status = await ended(child, program);
    if (signal.aborted) killGroup(child, 'SIGKILL');
    signal.throwIfAborted();
    return { status, stdout: stdout(), stderr: stderr() };
  } finally {
    signal.removeEventListener('abort', stop);
    child.stdout?.destroy();
    child.stderr?.destroy();
  }
}

const OUTPUTS = {
  inherit: ['inherit', 'inherit'],
  stderr: [2, 2],
  capture: ['pipe', 'pipe'],
} as const satisfies Record<RunOptions['output'], readonly ['inherit' | 'pipe' | 2, 'inherit' | 'pipe' | 2]>;

function ended(child: ChildProcess, program: string): Promise<number> {
  return new Promise((resolve, reject) => {
    child.once('error', (error) => {
      reject(
        new CacheError(
          'RUNTIME_MISSING',
          `${program} cannot be started (${systemCode(error) ?? error.message})`,
          {
            hint: 'Try the same command in the project directory by hand.',
            cause: error,
          },
        ),
      );
    });
    child.once('exit', (code, name) => {
      const status = code ?? 128 + (name === null ? 0 : constants.signals[name]);
      const timer = setTimeout(() => resolve(status), DRAIN_MS);
      child.once('close', () => {
        clearTimeout(timer);
        resolve(status);
      });
    });
  });
}

function terminate(child: ChildProcess): void {
  killGroup(child, 'SIGTERM');
  const timer = setTimeout(() => killGroup(child, 'SIGKILL'), GRACE_MS);
  child.once('exit', () => clearTimeout(timer));
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

/** Keeps the end of a stream, where tools say what went wrong. */
function tail(stream: NodeJS.ReadableStream | null): () => string {
  let kept = Buffer.alloc(0);
  stream?.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]);
    if (kept.length > CAPTURE_BYTES) kept = kept.subarray(kept.length - CAPTURE_BYTES);
  });
  return () => kept.toString();
}
