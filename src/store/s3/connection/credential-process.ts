/**
 * Runs the `credential_process` of a profile in the SDK's place. The SDK waits for one that hangs, or that
 * leaves a daemon behind with its output open, for ever; it leaves it running; and it keeps to itself what
 * went wrong.
 */
import { externalDataInterceptor } from '@smithy/core/config';
import { spawn, type ChildProcess } from 'node:child_process';
import { isatty } from 'node:tty';
import { redact } from '../../../errors.ts';
import type { Emit } from '../../../events.ts';
import { oneLine } from '../errors/context.ts';
import type { SourceFailure } from '../errors/describe-error.ts';
import { watchIdleness } from './process-activity.ts';

/** After this long a line says what is waited for. */
const NOTICE_MS = 3000;
/** What a process that has ended wrote is here at once; who holds its output open now is another. */
const DRAIN_MS = 500;
const MAX_OUTPUT_BYTES = 1024 * 1024;
/** The end of what it wrote on stderr, as it is told. */
const TOLD_CHARACTERS = 300;

type Done = (error: Error | null, output?: { stdout: string; stderr: string }) => void;

interface Running {
  child: ChildProcess;
  command: string;
}

export class CredentialProcesses {
  /** By command: the SDK asks a process that failed a second time. */
  readonly #failures = new Map<string, string>();
  readonly #running = new Set<Running>();
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
    // The SDK looks here for what runs commands; the last connection made is the one in use.
    externalDataInterceptor.interceptToken('exec', (command: string, done: Done) => this.#run(command, done));
  }

  /** What went wrong with the last one: `the credential_process x ended with status 3`. */
  get failure(): SourceFailure | undefined {
    const message = [...this.#failures.values()].at(-1);
    const hint =
      'Run it by itself to see what it needs, or give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.';
    return message === undefined ? undefined : { message, hint };
  }

  /** Credentials are asked for anew: what failed may work now. */
  forget(): void {
    this.#failures.clear();
  }

  /** Ends those that still run, as failures of which this is the reason. */
  stop(reason: string): void {
    for (const { child, command } of this.#running) {
      this.#failures.set(command, `the credential_process ${programOf(command)} ${reason}`);
      end(child);
    }
    this.#running.clear();
  }

  #run(command: string, done: Done): void {
    const failed = this.#failures.get(command);
    if (failed !== undefined) return done(new Error(failed));
    // Away from a terminal it gets a process group, so that all of it can be ended. At one it must be able to
    // ask its user.
    const child = spawn('/bin/sh', ['-c', command], {
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: !isatty(0),
    });
    const program = programOf(command);
    const running = { child, command };
    this.#running.add(running);
    const notice = setTimeout(() => {
      this.#emit({ type: 'warning', message: `Waiting for the credential_process ${program}` });
    }, NOTICE_MS);
    let stdout = '';
    let stderr = '';
    let drain: NodeJS.Timeout | undefined;
    let isFinished = false;
    const finish = (reason: string | undefined): void => {
      if (isFinished) return;
      isFinished = true;
      clearTimeout(notice);
      clearTimeout(drain);
      stopWatching();
      for (const stream of [child.stdout, child.stderr]) stream?.removeAllListeners('data').destroy();
      if (reason === undefined) return done(null, { stdout, stderr });
      const failure = `the credential_process ${program} ${reason}${told(stderr)}`;
      if (!this.#failures.has(command)) this.#failures.set(command, failure);
      done(new Error(failure));
    };
    const stopWatching = watchIdleness(isatty(0) ? undefined : child.pid, (seconds) => {
      end(child);
      finish(`hung: it did nothing for ${seconds} s`);
    });
    child.stdout?.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
      if (stdout.length <= MAX_OUTPUT_BYTES) return;
      end(child);
      finish(`printed more than ${MAX_OUTPUT_BYTES / 1024 / 1024} MiB`);
    });
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      stderr = (stderr + text).slice(-MAX_OUTPUT_BYTES);
    });
    const conclude = (): void => {
      const { exitCode, signalCode } = child;
      if (signalCode !== null) finish(`was ended by ${signalCode}`);
      else if (exitCode !== 0) finish(`ended with status ${exitCode}`);
      else finish(errorIn(stdout));
    };
    child.once('error', (error) => finish(`cannot be started (${error.message})`));
    child.once('exit', () => (drain = setTimeout(conclude, DRAIN_MS)));
    child.once('close', () => {
      // After the drain it is we who closed its output: what it has left behind ends with us.
      if (!isFinished || child.signalCode !== null) this.#running.delete(running);
      conclude();
    });
  }
}

/** What the SDK would refuse, and not tell. */
function errorIn(stdout: string): string | undefined {
  let answer: unknown;
  try {
    answer = JSON.parse(stdout.trim());
  } catch {
    return 'printed no JSON';
  }
  const { Version, AccessKeyId, SecretAccessKey, Expiration } = Object(answer) as Record<string, unknown>;
  if (Version !== 1) return 'printed JSON without "Version": 1';
  if (AccessKeyId === undefined || SecretAccessKey === undefined)
    return 'printed no AccessKeyId or no SecretAccessKey';
  if (Expiration !== undefined && Date.parse(String(Expiration)) < Date.now())
    return 'printed credentials that have expired';
  return undefined;
}

function told(stderr: string): string {
  const text = redact(oneLine(stderr));
  return text === '' ? '' : `: ${text.slice(-TOLD_CHARACTERS)}`;
}

/**
 * The program alone: its arguments may be secret. Sample values: `/opt/bin/give --profile x`, `"/opt/my
 * tools/give" --profile x`.
 */
function programOf(command: string): string {
  const [, quoted, plain] = /^\s*(?:"([^"]*)"|(\S*))/.exec(command) ?? [];
  return quoted ?? plain ?? '';
}

function end(child: ChildProcess): void {
  if (child.pid === undefined || isatty(0)) {
    child.kill('SIGKILL');
    return;
  }
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch {
    // All of it has ended by itself.
  }
}
