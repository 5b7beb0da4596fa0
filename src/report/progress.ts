/** A bar on one line, drawn by the clock: it moves on, and its rate falls, when the work has nothing to tell. */
import { formatBytes, formatCount, formatSeconds } from './format.ts';

/** Where people read: stderr, with what it can show. */
export interface Terminal {
  write(text: string): void;
  /** Whether a line can be rewritten: a real terminal, not a pipe, not CI. */
  readonly interactive: boolean;
  readonly columns: number;
  colour(name: 'red' | 'yellow' | 'green' | 'dim', text: string): string;
}

interface Moved {
  phase: 'download' | 'upload';
  recipe: string;
  bytes: number;
  total: number;
  files: number;
}

export interface Progress {
  update(moved: Moved): void;
  /** Takes the bar away from the line, for other text; it comes back below. */
  clear(): void;
  /** Takes it away for good: the work is over. */
  end(): void;
}

/** Shown only once the work has taken this long: what is quick needs no bar. */
const DELAY_MS = 800;
const INTERVAL_MS = 100;

/** A bar with bytes, rate and time left. Silent where nobody watches. */
export function createProgress(terminal: Terminal): Progress {
  let latest: Moved | undefined;
  let began = 0;
  let timer: NodeJS.Timeout | undefined;
  let drawn = false;

  function draw(): void {
    const elapsed = performance.now() - began;
    if (latest === undefined || elapsed < DELAY_MS) return;
    terminal.write(`\r\u001b[2K${progressLine(latest, elapsed / 1000, terminal.columns)}`);
    drawn = true;
  }

  function clear(): void {
    if (drawn) terminal.write('\r\u001b[2K');
    drawn = false;
  }

  return {
    update(moved) {
      if (latest === undefined) {
        if (!terminal.interactive) return;
        began = performance.now();
        timer = setInterval(draw, INTERVAL_MS);
        // A bar is no reason for the program to go on.
        timer.unref();
      }
      latest = moved;
    },
    clear,
    end() {
      clearInterval(timer);
      latest = undefined;
      clear();
    },
  };
}

/**
 * `npm ↓ [#####     ] 58 MB of 120 MB, 41 MB/s, 1.5 s left, 4,012 files`; no bar where the total is not known. Bytes of an upload
 * are of files packed: once all are, the last parts are still on their way.
 */
export function progressLine(moved: Moved, seconds: number, columns: number): string {
  const { phase, recipe, bytes, total, files } = moved;
  const rate = bytes / Math.max(seconds, 0.001);
  const arrow = phase === 'download' ? '↓' : '↑';
  const parts = [total > 0 ? `${formatBytes(bytes)} of ${formatBytes(total)}` : formatBytes(bytes)];
  if (phase === 'upload' && total > 0 && bytes >= total) {
    parts.push('sending the last of it');
  } else {
    parts.push(`${formatBytes(rate)}/s`);
    if (total > bytes && rate > 0) parts.push(`${formatSeconds((total - bytes) / rate)} left`);
  }
  if (files > 0) parts.push(`${formatCount(files)} files`);
  const text = parts.join(', ');
  const head = `${recipe} ${arrow} `;
  const room = Math.min(30, columns - head.length - text.length - 4);
  const bar = total > 0 && room >= 8 ? `[${bars(bytes / total, room)}] ` : '';
  return `${head}${bar}${text}`.slice(0, Math.max(columns - 1, 10));
}

function bars(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '#'.repeat(full) + ' '.repeat(width - full);
}
