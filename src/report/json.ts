import type { Outcome } from '../session/outcome.ts';
import type { CacheError } from '../errors.ts';

/** An outcome as `--json` prints it. docs/json.md has the schema. */
export function outcomeJson(outcome: Outcome): Record<string, unknown> {
  const { label: _label, isDetected: _isDetected, ...rest } = outcome;
  if (rest.type === 'failed') return { ...rest, error: errorJson(rest.error) };
  return 'seconds' in rest ? { ...rest, seconds: Math.round(rest.seconds * 1000) / 1000 } : rest;
}

export function errorJson(error: CacheError): Record<string, unknown> {
  return {
    code: error.code,
    message: error.message,
    ...(error.hint === undefined ? {} : { hint: error.hint }),
  };
}
