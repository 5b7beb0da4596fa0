import type { CacheError } from '../errors.ts';
import type { CacheEvent } from '../events.ts';
import { printableLines, printableMessage, TAG, withHint } from './printable.ts';
import { createProgress, type Terminal } from './progress.ts';

export interface LogOptions {
  /** `[cache]` lines for each step. */
  verbose: boolean;
  /** Stack traces with errors. */
  debug: boolean;
  terminal: Terminal;
}

export interface Log {
  event(event: CacheEvent): void;
  error(error: CacheError): void;
  /** Clears the progress bar, so that the next output has the line to itself. */
  pause(): void;
}

/**
 * Writes everything that goes to stderr: steps if verbose, warnings and errors always, progress if a person
 * watches.
 */
export function createLog({ verbose, debug, terminal }: LogOptions): Log {
  const progress = createProgress(terminal);
  const line = (text: string): void => {
    progress.clear();
    terminal.write(`${text}\n`);
  };
  const said = new Set<string>();

  return {
    event(event) {
      switch (event.type) {
        case 'step':
          if (verbose) line(`${TAG} ${printableMessage(event.text)}`);
          break;
        case 'warning': {
          const text = withHint(event.message, event.hint);
          // Several recipes of one run may cause the same warning. It is printed once.
          if (!said.has(text)) line(`${TAG} ${terminal.colour('yellow', 'warning')}: ${text}`);
          said.add(text);
          break;
        }
        case 'progress':
          progress.update(event);
          break;
        case 'progress-end':
          progress.end();
          break;
      }
    },
    error(error) {
      progress.end();
      const text = `${withHint(error.message, error.hint)} [${error.code}]`;
      if (!said.has(text)) line(`${TAG} ${terminal.colour('red', 'error')}: ${text}`);
      said.add(text);
      if (debug && error.stack !== undefined) line(printableLines(traces(error)));
    },
    pause: () => progress.end(),
  };
}

function traces(error: Error): string {
  const cause = error.cause instanceof Error ? `\nCaused by: ${traces(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
