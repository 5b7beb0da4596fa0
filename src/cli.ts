/**
 * One run of the program: flags → Config → one command → exit code. Only this file sets the exit code of the
 * process and decides what happens on a signal.
 */
import { CommanderError } from 'commander';
import { createSession, type Session } from './session/session.ts';
import type { Outcome } from './session/outcome.ts';
import { loadConfig, readEnvironment, type Config } from './config/config.ts';
import { parseBoolean } from './config/values.ts';
import { CacheError, systemCode } from './errors.ts';
import { isOutOfFiles, MORE_FILES_HINT } from './files/read-errors.ts';
import { combinedCode, errorCode, outcomeCode } from './program/exit-code.ts';
import { commandLineStart, createProgram } from './program/program.ts';
import type { Action, Examination, GlobalFlags } from './program/types.ts';
import { usageError } from './program/usage-error.ts';
import { isOnRemoteDisk } from './process/remote-disk.ts';
import { createSignals, SIGNAL_CODES, type Signals, type StopSignal } from './process/signals.ts';
import { trackThreads } from './process/threads.ts';
import { createWatchdog, type Watchdog } from './process/watchdog.ts';
import type { Blame } from './recipes/support/recipe.ts';
import type { Document } from './report/documents.ts';
import { errorJson, outcomeJson } from './report/json.ts';
import { createLog, type Log } from './report/log.ts';
import type { Terminal } from './report/progress.ts';
import { createOutput } from './report/output.ts';
import { printableJson, printableLines, TAG, withHint } from './report/printable.ts';
import { missedLine, resultText } from './report/result.ts';
import { stderrTerminal } from './report/terminal.ts';

/** How long threads may take to end when everything is done. */
const THREADS_MS = 1000;
const STILL_ALIVE_MS = 100;

const UNVERIFIED_HINTS = {
  entry: 'Install as without a cache; the next save replaces the entry.',
  settings:
    'Install as without a cache; the next save replaces the entry, unless that leaves out other groups.',
  machine: 'Install as without a cache. The entry stays as it is: the reason may lie on this machine.',
} as const satisfies Record<Blame, string>;

const OUTPUTS = {
  stdout: createOutput(1, () => process.stdout),
  stderr: createOutput(2, () => process.stderr),
};

const THREADS = trackThreads();

// What Node says of a program that waits for what never comes.
process.exitCode = 13;
void run(process.argv.slice(2));

async function run(argv: readonly string[]): Promise<void> {
  const watchdog = createWatchdog();
  const signals = createSignals(watchdog, dieBy);
  let code = 0;
  const guards = { signals, watchdog };
  const program = createProgram(argv, OUTPUTS, {
    perform: async (flags, action) => void (code = await perform(flags, action, guards)),
    examine: async (flags, examination) => void (code = await examine(flags, examination, guards)),
  });
  try {
    await program.parseAsync(argv, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    // `--help` and `--version` end here too.
    code = error.exitCode === 0 ? 0 : 2;
    if (code !== 0) tellUsageError(error, argv);
  }
  code = lostResults() ?? code;
  process.exitCode = code;
  await Promise.all([OUTPUTS.stdout.drained(), OUTPUTS.stderr.drained()]);
  await leave(code, signals);
}

function tellUsageError(error: CommanderError, argv: readonly string[]): void {
  // There was no command at all, and commander has printed the whole help instead of an error.
  const nothingNamed = error.code === 'commander.help';
  const { code, message, hint } = usageError(
    nothingNamed ? 'no command is given' : error.message,
    commandLineStart(argv),
  );
  if (!nothingNamed) OUTPUTS.stderr.write(`${TAG} error: ${withHint(message, hint)} [${code}]\n`);
  if (argv.includes('--json')) printJson({ exitCode: 2, error: { code, message, hint } });
}

/** @returns the exit code if not everything could be written to stdout */
function lostResults(): number | undefined {
  const { failure } = OUTPUTS.stdout;
  if (failure === undefined) return undefined;
  OUTPUTS.stderr.write(
    `${TAG} error: stdout cannot be written (${systemCode(failure)}): results are lost [DISK_FULL]\n`,
  );
  return 3;
}

/**
 * Ends the process. Sockets that are kept alive, left-over timers, and threads stuck in a system call must
 * not hold up a build.
 */
async function leave(code: number, { first }: Signals): Promise<void> {
  // Die by the signal itself. Otherwise a shell thinks that we handled it, and goes on with its script.
  if (first === 'SIGINT') return dieBy(first);
  if (await THREADS.end(THREADS_MS)) process.exit(code);
  OUTPUTS.stderr.write(`${TAG} error: A file system does not answer: this process kills itself [TIMEOUT]\n`);
  await OUTPUTS.stderr.drained();
  dieBy(first ?? 'SIGKILL', code);
}

/** Ends the process by a signal. No thread can prevent that. */
function dieBy(signal: StopSignal | 'SIGKILL', code = signal === 'SIGKILL' ? 3 : SIGNAL_CODES[signal]): void {
  process.removeAllListeners(signal);
  process.kill(process.pid, signal);
  // The first process of a container ignores signals that it has no handler for.
  setTimeout(() => process.exit(code), STILL_ALIVE_MS);
}

interface Guards {
  signals: Signals;
  watchdog: Watchdog;
}

/**
 * Between one operation and the next, the program only looks at files, and no deadline applies. If the
 * project or the directory store is on a file system that may never answer, the watchdog limits that time
 * too.
 */
function beginning(
  { signals, watchdog }: Guards,
  { projectDir, store, timeoutMs }: Config,
): Session['begin'] {
  const dirs = 'local' in store ? [projectDir, store.local.dir] : [projectDir];
  const limitBetween = dirs.some(isOnRemoteDisk)
    ? () => watchdog.limit(timeoutMs, { atOnce: true })
    : () => () => {};
  let endBetween = limitBetween();
  return (limitMs) => {
    endBetween();
    signals.watch();
    const end = limitMs === undefined ? () => {} : watchdog.limit(limitMs);
    return () => {
      end();
      endBetween = limitBetween();
    };
  };
}

/** Runs one command and reports its results. @returns the exit code */
async function perform(flags: GlobalFlags, action: Action, { signals, watchdog }: Guards): Promise<number> {
  const environment = readEnvironment();
  const terminal = terminalOf(environment);
  let log = createLog({
    verbose: false,
    debug: parseBoolean(environment['CACHE_DEBUG'] ?? '') === true,
    terminal,
  });
  const codeOf = (error: CacheError): number => errorCode(error, signals.first);
  try {
    const config = loadConfig(flags);
    log = createLog({ verbose: config.verbose, debug: config.debug, terminal });
    for (const warning of config.warnings) log.event({ type: 'warning', ...warning });
    const session = sessionOf(config, log, { signals, watchdog });
    try {
      const outcomes: Outcome[] = [];
      const document = await action(session, (outcome) => {
        outcomes.push(outcome);
        tell(outcome, { flags, log, withheld: config.withheld, terminal });
      });
      const code =
        document?.exitCode ??
        combinedCode(outcomes.map((outcome) => outcomeCode(outcome, flags.command, codeOf)));
      if (document !== undefined) {
        printDocument(flags, document);
      } else if (flags.json === true) {
        printJson({ exitCode: code, results: outcomes.map(outcomeJson) });
      } else if (flags.quiet !== true) {
        const missed = flags.command === 'restore' ? missedLine(outcomes) : undefined;
        if (missed !== undefined) print(missed);
      }
      return code;
    } finally {
      session.close();
    }
  } catch (error) {
    return tellFailure(error, { flags, log, signals });
  }
}

/**
 * Runs a command that looks at the configuration itself. Prints no warnings, because the document has them
 * all.
 * @returns the exit code
 */
async function examine(flags: GlobalFlags, examination: Examination, guards: Guards): Promise<number> {
  const { signals } = guards;
  const environment = readEnvironment();
  const log = createLog({
    verbose: flags.verbose === true,
    debug: parseBoolean(environment['CACHE_DEBUG'] ?? '') === true,
    terminal: terminalOf(environment),
  });
  try {
    const { surveyConfig } = await import('./config/survey.ts');
    const survey = surveyConfig(flags);
    const { config } = survey;
    const session = config && sessionOf(config, log, guards);
    try {
      const document = await examination({ survey, session, signal: signals.aborted });
      printDocument(flags, document);
      return document.exitCode ?? 0;
    } finally {
      session?.close();
    }
  } catch (error) {
    return tellFailure(error, { flags, log, signals });
  }
}

function sessionOf(config: Config, log: Log, guards: Guards): Session {
  return createSession(config, {
    emit: (event) => log.event(event),
    signal: guards.signals.aborted,
    begin: beginning(guards, config),
  });
}

interface Failing {
  flags: GlobalFlags;
  log: Log;
  signals: Signals;
}

/** Reports what ended the run. @returns the exit code */
function tellFailure(error: unknown, { flags, log, signals }: Failing): number {
  const known = error instanceof CacheError ? error : unexpected(error);
  const code = errorCode(known, signals.first);
  log.error(known);
  if (flags.json === true) printJson({ exitCode: code, error: errorJson(known) });
  return code;
}

function terminalOf(environment: Readonly<Record<string, string>>): Terminal {
  return stderrTerminal(OUTPUTS.stderr, () => process.stderr, environment);
}

interface Telling {
  flags: GlobalFlags;
  log: Log;
  terminal: Terminal;
  /** AWS variables that an installer did not get. */
  withheld: readonly string[];
}

function tell(outcome: Outcome, { flags, log, terminal, withheld }: Telling): void {
  log.pause();
  switch (outcome.type) {
    case 'failed':
      return log.error(outcome.error);
    case 'off': {
      const message = `Caching is off: ${outcome.reason}`;
      // An entrypoint may intend this. A person at a terminal should be warned, because nothing will be
      // cached.
      return log.event(terminal.interactive ? { type: 'warning', message } : { type: 'step', text: message });
    }
    case 'no-lockfile':
      return log.event({
        type: 'warning',
        message: `No ${outcome.lockfiles.join(' or ')} here: nothing to do for ${outcome.recipe}`,
      });
    case 'install-failed':
      return log.event({
        type: 'warning',
        message: `"${outcome.command}" ended with status ${outcome.status}`,
        ...(withheld.length === 0 ? {} : { hint: hintWithheld(withheld) }),
      });
    case 'unverified':
      log.event({
        type: 'warning',
        message: `${outcome.key} was restored, but ${outcome.reason}`,
        hint: UNVERIFIED_HINTS[outcome.blame],
      });
  }
  const line = resultText(outcome);
  if (line !== undefined && flags.json !== true && flags.quiet !== true) print(line);
}

function hintWithheld(names: readonly string[]): string {
  return `It ran without ${names.join(', ')}: if it needs them, set CACHE_INSTALL_CREDENTIALS=true.`;
}

function printDocument(flags: GlobalFlags, { json, text, aside }: Document): void {
  if (flags.json === true) return printJson(json);
  if (flags.quiet === true) return;
  print(text);
  if (aside !== undefined) OUTPUTS.stderr.write(`${printableLines(aside)}\n`);
}

function print(text: string): void {
  OUTPUTS.stdout.write(`${printableLines(text)}\n`);
}

function printJson(value: unknown): void {
  OUTPUTS.stdout.write(`${printableJson(value)}\n`);
}

function unexpected(error: unknown): CacheError {
  const text = error instanceof Error ? error.message : String(error);
  if (isOutOfFiles(error))
    return new CacheError('SOURCE_UNREADABLE', `Too many files are open (${text})`, {
      hint: MORE_FILES_HINT,
      cause: error,
    });
  return new CacheError('INTERNAL', `Something went wrong that should not have: ${text}`, {
    hint: 'Run it again with CACHE_DEBUG=true and report what it prints.',
    cause: error,
  });
}
