/** A progress bar on one line. It is drawn by the clock, so its rate falls if no progress is reported. */
import { formatCount } from '../text/counted.ts';
import { formatSeconds } from './format.ts';
import { formatBytes } from '../text/format-bytes.ts';

/** The terminal behind stderr, and what it can do. */
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
  /** Clears the bar for other text. It is drawn again below. */
  clear(): void;
  /** Clears it for good, when the work is done. */
  end(): void;
}

/** The bar is shown only if the work takes longer than this. */
const DELAY_MS = 800;
const INTERVAL_MS = 100;
/** Columns. */
const MIN_COLUMNS = 10;
const MIN_BAR = 8;
const MAX_BAR = 30;

/** A bar with bytes, rate and time left. Draws nothing if the terminal is not interactive. */
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
        // The bar must not keep the process alive.
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
 * What does not fit is left out, from the end. For an upload the bytes are those of packed files. Once all
 * are packed, the last parts are still being sent.
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
