/**
 * The exit codes of an outcome, of an error, and of a run with several recipes. docs/errors.md explains them.
 */
import { ERROR_KINDS, type CacheError } from '../errors.ts';
import { SIGNAL_CODES, type StopSignal } from '../process/signals.ts';
import type { Outcome } from '../session/outcome.ts';

/** From the strongest to the weakest. */
const PRECEDENCE = [130, 129, 143, 2, 3, 4, 1];

/**
 * @param command name of the command that the outcome belongs to
 * @param codeOf the exit code of an outcome's error
 */
export function outcomeCode(
  outcome: Outcome,
  command: string,
  codeOf: (error: CacheError) => number,
): number {
  switch (outcome.type) {
    case 'restored':
    case 'in-place':
    case 'saved':
    case 'exists':
    case 'started':
    case 'nothing-needed':
    case 'postponed':
    case 'ensured':
    case 'key':
    case 'explained':
      return 0;
    case 'off':
      return command === 'save' ? 0 : 1;
    case 'miss':
    case 'fallback':
    case 'no-lockfile':
      return 1;
    case 'nothing-installed':
      return outcome.isDetected === true ? 0 : 1;
    case 'unverified':
      return 4;
    case 'install-failed':
      return command === 'ensure' ? outcome.status : 3;
    case 'failed':
      return codeOf(outcome.error);
  }
}

/** @returns the strongest code of several recipes; 0 when there are none */
export function combinedCode(codes: readonly number[]): number {
  return PRECEDENCE.find((code) => codes.includes(code)) ?? codes.find((code) => code !== 0) ?? 0;
}

/** @param signal the first signal that this run received */
export function errorCode(error: CacheError, signal: StopSignal = 'SIGTERM'): number {
  const kind = ERROR_KINDS[error.code];
  return kind === 'interrupted' ? SIGNAL_CODES[signal] : { usage: 2, failure: 3, unverified: 4 }[kind];
}
