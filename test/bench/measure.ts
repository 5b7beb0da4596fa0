/**
 * Runs one command as a process of its own and measures it from outside: wall clock, CPU seconds of it and all its
 * children, and the highest resident memory that any one of them reached.
 */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Command {
  program: string;
  args: readonly string[];
  cwd?: string | undefined;
  /** Added to a small clean environment: PATH, HOME, LANG. */
  env?: Readonly<Record<string, string>> | undefined;
  /** Exit codes that count as done. @default [0] */
  accept?: readonly number[] | undefined;
}

export interface Sample {
  wallSeconds: number;
  /** User and system time, children included; undefined where GNU time is not installed. */
  cpuSeconds: number | undefined;
  peakRssBytes: number | undefined;
  /** What a self-timing command reported on its last line of stdout. */
  stdout: string;
}

const GNU_TIME = '/usr/bin/time';

export function shell(script: string, cwd?: string): Command {
  return { program: '/bin/bash', args: ['-o', 'pipefail', '-ec', script], cwd };
}

/** @throws Error when it ends with a code that is not accepted, with the end of its stderr */
export async function measure(command: Command): Promise<Sample> {
  const timed = existsSync(GNU_TIME);
  const folder = await mkdtemp(join(tmpdir(), 'sandbox-cache-bench-'));
  const figures = join(folder, 'figures');
  try {
    // Besides measuring, GNU time keeps our own memory out of the figure: a child starts with its parent's peak.
    const ended = timed
      ? await run(command, [GNU_TIME, '--quiet', '--format=%U %S %M', `--output=${figures}`])
      : await run(command, []);
    if (!timed) return { ...ended, cpuSeconds: undefined, peakRssBytes: undefined };
    const [user = 0, system = 0, kibibytes = 0] = (await readFile(figures, 'utf8')).split(' ').map(Number);
    return { ...ended, cpuSeconds: user + system, peakRssBytes: kibibytes * 1024 };
  } finally {
    await rm(folder, { recursive: true });
  }
}

function run(command: Command, wrapper: readonly string[]): Promise<{ wallSeconds: number; stdout: string }> {
  const [program = command.program, ...args] = [...wrapper, command.program, ...command.args];
  return new Promise((resolve, reject) => {
    const start = process.hrtime.bigint();
    const child = spawn(program, args, {
      cwd: command.cwd,
      env: { ...cleanEnvironment(), ...command.env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let wallSeconds = 0;
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
    child.on('error', reject);
    child.on('exit', () => (wallSeconds = Number(process.hrtime.bigint() - start) / 1e9));
    child.on('close', (code) => {
      if ((command.accept ?? [0]).includes(code ?? -1)) resolve({ wallSeconds, stdout: stdout.trim() });
      else reject(new Error(`${program} ${args.join(' ')} ended with ${code}\n${stderr.slice(-2000)}`));
    });
  });
}

/** What every contender gets: no proxy, no extra certificate authorities, no settings of this machine's user. */
function cleanEnvironment(): Record<string, string> {
  const { PATH = '/usr/bin:/bin', HOME = '/' } = process.env;
  return { PATH, HOME, LANG: 'C.UTF-8' };
}
