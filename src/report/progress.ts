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

/** Shown only once the work has taken this long: what is quick needs no bar. */
const DELAY_MS = 800;
const INTERVAL_MS = 100;

/** A bar on one line with bytes, rate and time left. Silent where nobody watches. */
export function createProgress(terminal: Terminal): { update(moved: Moved): void; clear(): void } {
  let began = 0;
  let work = '';
  let drawn = 0;

  return {
    update(moved) {
      if (!terminal.interactive) return;
      const now = performance.now();
      if (work !== `${moved.phase} ${moved.recipe}`) {
        work = `${moved.phase} ${moved.recipe}`;
        began = now;
      }
      if (now - began < DELAY_MS || now - drawn < INTERVAL_MS) return;
      drawn = now;
      terminal.write(`\r\u001b[2K${progressLine(moved, (now - began) / 1000, terminal.columns)}`);
    },
    clear() {
      if (drawn !== 0) terminal.write('\r\u001b[2K');
      drawn = 0;
    },
  };
}

/** `npm ↓ [#####     ] 58 MB of 120 MB, 41 MB/s, 1.5 s left, 4,012 files`; no bar where the total is not known. */
export function progressLine(moved: Moved, seconds: number, columns: number): string {
  const rate = moved.bytes / Math.max(seconds, 0.001);
  const arrow = moved.phase === 'download' ? '↓' : '↑';
  const parts = [
    moved.total > 0 ? `${formatBytes(moved.bytes)} of ${formatBytes(moved.total)}` : formatBytes(moved.bytes),
  ];
  parts.push(`${formatBytes(rate)}/s`);
  if (moved.total > moved.bytes && rate > 0)
    parts.push(`${formatSeconds((moved.total - moved.bytes) / rate)} left`);
  if (moved.files > 0) parts.push(`${formatCount(moved.files)} files`);
  const text = parts.join(', ');
  const head = `${moved.recipe} ${arrow} `;
  const room = Math.min(30, columns - head.length - text.length - 4);
  const bar = moved.total > 0 && room >= 8 ? `[${bars(moved.bytes / moved.total, room)}] ` : '';
  return `${head}${bar}${text}`.slice(0, Math.max(columns - 1, 10));
}

function bars(share: number, width: number): string {
  const full = Math.round(Math.min(1, Math.max(0, share)) * width);
  return '#'.repeat(full) + ' '.repeat(width - full);
}
