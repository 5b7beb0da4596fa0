/**
 * Runs the `credential_process` of a profile instead of the SDK. The SDK would wait forever for a process
 * that hangs, or that leaves a daemon behind with its output open. It also leaves the process running, and
 * does not report what went wrong.
 */
import { externalDataInterceptor } from '@smithy/core/config';
import { spawn, type ChildProcess } from 'node:child_process';
import { isatty } from 'node:tty';
import { redact } from '../../../errors.ts';
import type { Emit } from '../../../events.ts';
import { oneLine } from '../errors/context.ts';
import type { SourceFailure } from '../errors/describe-error.ts';
import { watchIdleness } from './process-activity.ts';

/** After this time a line says what we are waiting for. */
const NOTICE_MS = 3000;
/**
 * The output of a process that has ended is there at once. If the output is still open, another process holds
 * it.
 */
const DRAIN_MS = 500;
const MAX_OUTPUT_BYTES = 1024 * 1024;
/** How much of the end of its stderr is shown. */
const TOLD_CHARACTERS = 300;

type Done = (error: Error | null, output?: { stdout: string; stderr: string }) => void;

interface Running {
  child: ChildProcess;
  command: string;
}

export class CredentialProcesses {
  /** Errors by command, because the SDK starts a process that failed a second time. */
  readonly #failures = new Map<string, string>();
  readonly #running = new Set<Running>();
  readonly #emit: Emit;

  constructor(emit: Emit) {
    this.#emit = emit;
    // The SDK looks here for what runs commands; the last connection made is the one in use.
    externalDataInterceptor.interceptToken('exec', (command: string, done: Done) => this.#run(command, done));
  }

  /** The error of the last process: `the credential_process x ended with status 3`. */
  get failure(): SourceFailure | undefined {
    const message = [...this.#failures.values()].at(-1);
    const hint =
      'Run it by itself to see what it needs, or give AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.';
    return message === undefined ? undefined : { message, hint };
  }

  /** To be called before credentials are asked for again, because what failed may work now. */
  forget(): void {
    this.#failures.clear();
  }

  /** Ends the processes that still run. They count as failed for this reason. */
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
    // Without a terminal it gets a process group of its own, so that all of it can be ended. At a terminal it
    // must be able to ask its user.
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
      // If we had to close its output, it has left a process behind, which must end when we end.
      if (!isFinished || child.signalCode !== null) this.#running.delete(running);
      conclude();
    });
  }
}

/** Finds errors in the output for which the SDK gives no reason. */
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
 * The program without its arguments, which may be secret. Sample values: `/opt/bin/give --profile x`,
 * `"/opt/my tools/give" --profile x`.
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
