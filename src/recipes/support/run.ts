import type { ChildProcess } from 'node:child_process';
import { closeSync, constants, openSync, readdirSync, readFileSync } from 'node:fs';
import { constants as osConstants } from 'node:os';
import { CacheError, systemCode } from '../../errors.ts';
import { isOutOfFiles, MORE_FILES_HINT } from '../../files/read-errors.ts';
import type { Command, Project } from './recipe.ts';
import { requireProgram } from './which.ts';

export interface RunOptions {
  project: Project;
  /** Where what it prints goes: to our own stdout and stderr, all to our stderr, or into the result. */
  output: 'inherit' | 'stderr' | 'capture';
  /** An abort ends it and all that it has started; the call then rejects with the signal's reason. */
  signal: AbortSignal;
}

export interface RunResult {
  /** Exit status; 128 + the signal's number when a signal ended it, as shells have it. */
  status: number;
  /** With `capture`: the end of stdout and of stderr, at most 64 KiB each. */
  stdout: string;
  stderr: string;
}

/** How long a program may take to end by itself, ms. A run must end within 2 s of a signal. */
const GRACE_MS = 1000;
/**
 * How long to wait for the last output after the program has ended, ms. A daemon that it left behind may hold
 * the pipe open.
 */
const DRAIN_MS = 200;
const CAPTURE_BYTES = 64 * 1024;

/**
 * Runs a program in the project directory, without a shell. Its stdin is ours if that is a terminal, else
 * nothing: in `while read …; do ensure …` an installer would swallow the loop's input.
 * @throws CacheError RUNTIME_MISSING when there is no such program.
 */
export async function runCommand(command: Command, options: RunOptions): Promise<RunResult> {
  const { project, output, signal } = options;
  // Loaded only here, because most runs start no program.
  const [{ spawn }, { isatty }] = await Promise.all([import('node:child_process'), import('node:tty')]);
  signal.throwIfAborted();
  const [program, ...args] = command.argv;
  const path = requireProgram(program, project);
  // If it shares our process group, it can ask for a passphrase at the terminal, and Ctrl-Z stops both.
  // Otherwise it gets a group and a session of its own.
  const isShared = output !== 'capture' && hasTerminal();
  const child = spawn(path, args, {
    argv0: program,
    cwd: project.dir,
    env: { ...project.env, ...command.env },
    detached: !isShared,
    stdio: [isShared && isatty(0) ? 'inherit' : 'ignore', ...OUTPUTS[output]],
  });
  const stdout = tail(child.stdout);
  const stderr = tail(child.stderr);
  const kill = isShared ? treeKiller(child) : groupKiller(child);
  const stop = (): void => terminate(child, kill);
  signal.addEventListener('abort', stop, { once: true });
  try {
    const status = await ended(child, program);
    if (signal.aborted) kill('SIGKILL');
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
            hint: isOutOfFiles(error)
              ? MORE_FILES_HINT
              : 'Try the same command in the project directory by hand.',
            cause: error,
          },
        ),
      );
    });
    child.once('exit', (code, name) => {
      const status = code ?? 128 + (name === null ? 0 : osConstants.signals[name]);
      const timer = setTimeout(() => resolve(status), DRAIN_MS);
      child.once('close', () => {
        clearTimeout(timer);
        resolve(status);
      });
    });
  });
}

/** Whether this process belongs to a terminal, wherever its output goes. */
function hasTerminal(): boolean {
  try {
    closeSync(openSync('/dev/tty', constants.O_RDWR | constants.O_NOCTTY | constants.O_NONBLOCK));
    return true;
  } catch {
    return false;
  }
}

type Kill = (signal: NodeJS.Signals) => void;

function terminate(child: ChildProcess, kill: Kill): void {
  kill('SIGTERM');
  const timer = setTimeout(() => kill('SIGKILL'), GRACE_MS);
  child.once('exit', () => clearTimeout(timer));
}

function groupKiller({ pid }: ChildProcess): Kill {
  return (signal) => {
    if (pid !== undefined) send(-pid, signal);
  };
}

/**
 * Ends a child that is in our own process group, with all that it had started at the first signal. Later
 * signals still reach those that have become orphans.
 */
function treeKiller({ pid }: ChildProcess): Kill {
  const tree = new Set<number>();
  return (signal) => {
    if (pid !== undefined) tree.add(pid);
    for (const member of tree) for (const started of childrenOf(member)) tree.add(started);
    for (const member of tree) send(member, signal);
  };
}

/** Works on Linux; elsewhere only the program itself is found. */
function childrenOf(pid: number): number[] {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, 'latin1').split(' ').filter(Boolean).map(Number),
    );
  } catch {
    return [];
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // It has ended already.
  }
}

/** Keeps the end of a stream, because that is where tools say what went wrong. */
function tail(stream: NodeJS.ReadableStream | null): () => string {
  let kept = Buffer.alloc(0);
  stream?.on('data', (chunk: Buffer) => {
    kept = Buffer.concat([kept, chunk]);
    if (kept.length > CAPTURE_BYTES) kept = kept.subarray(kept.length - CAPTURE_BYTES);
  });
  return () => kept.toString();
}
