import type { CacheError } from '../errors.ts';
import type { CacheEvent } from '../events.ts';
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
  /** Ends the progress bar, so that what comes next has the line to itself. */
  pause(): void;
}

/** Everything that goes to stderr: steps when verbose, warnings and errors always, progress where a person watches. */
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
          if (verbose) line(`[cache] ${event.text}`);
          break;
        case 'warning': {
          const text = withHint(`warning: ${event.message}`, event.hint);
          // Several recipes of one run meet the same trouble; once is enough.
          if (!said.has(text)) line(`${terminal.colour('yellow', 'warning')}${text.slice('warning'.length)}`);
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
      const text = withHint(`error: ${error.message}`, error.hint);
      if (!said.has(text))
        line(`${terminal.colour('red', 'error')}${text.slice('error'.length)} [${error.code}]`);
      said.add(text);
      if (debug && error.stack !== undefined) line(traces(error));
    },
    pause: () => progress.end(),
  };
}

function withHint(text: string, hint: string | undefined): string {
  return oneLine(hint === undefined ? text : `${text}${/[.!?]$/.test(text) ? '' : '.'} ${hint}`);
}

/** A server's message or a file's name may hold anything; a terminal must not obey it. */
function oneLine(text: string): string {
  return text.replace(/[\u0000-\u0020\u007f-\u009f]+/g, ' ').trim();
}

function traces(error: Error): string {
  const cause = error.cause instanceof Error ? `\nCaused by: ${traces(error.cause)}` : '';
  return `${error.stack ?? error.message}${cause}`;
}
