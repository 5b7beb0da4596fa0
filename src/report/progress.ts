/**
 * A bar on one line, drawn by the clock: it moves on, and its rate falls, when the work has nothing to tell.
 */
import { formatCount } from '../text/counted.ts';
import { formatSeconds } from './format.ts';
import { formatBytes } from '../text/format-bytes.ts';

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
/** Columns. */
const MIN_COLUMNS = 10;
const MIN_BAR = 8;
const MAX_BAR = 30;

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
 * `npm down [#####     ] 58 MB of 120 MB, 41 MB/s, 1.5 s left, 4,012 files`. Without a total there is no bar.
 * What does not fit is left out, from the end. Bytes of an upload are of files packed: once all are, the last
 * parts are still on their way.
 */
export function progressLine(moved: Moved, seconds: number, columns: number): string {
  const { bytes, total } = moved;
  const head = `${moved.recipe} ${moved.phase === 'download' ? 'down' : 'up'} `;
  // A line that fills the last column makes some terminals scroll.
  const room = Math.max(columns - 1, MIN_COLUMNS) - head.length;
  const text = joinFitting(progressParts(moved, seconds), room);
  const width = Math.min(MAX_BAR, room - text.length - '[] '.length);
  const bar = total > 0 && width >= MIN_BAR ? `[${bars(bytes / total, width)}] ` : '';
  return `${head}${bar}${text}`.slice(0, head.length + room);
}

/** The most important first. */
function progressParts({ phase, bytes, total, files }: Moved, seconds: number): string[] {
  const parts = [total > 0 ? `${formatBytes(bytes)} of ${formatBytes(total)}` : formatBytes(bytes)];
  if (phase === 'upload' && total > 0 && bytes >= total) {
    parts.push('sending the last of it');
  } else {
    const rate = bytes / Math.max(seconds, 0.001);
    parts.push(`${formatBytes(rate)}/s`);
    if (total > bytes && rate > 0) parts.push(`${formatSeconds((total - bytes) / rate)} left`);
  }
  if (files > 0) parts.push(`${formatCount(files)} files`);
  return parts;
}

function joinFitting(parts: readonly string[], room: number): string {
  let text = parts[0] ?? '';
  for (const part of parts.slice(1)) {
    if (text.length + part.length + 2 > room) break;
    text += `, ${part}`;
  }
  return text;
}

function bars(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '#'.repeat(full) + ' '.repeat(width - full);
}
