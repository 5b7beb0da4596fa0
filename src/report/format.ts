import { printable } from './printable.ts';

/** `0.3 s`, `12 s`, `2 min 10 s`, `1 h 5 min`. */
export function formatSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return joined([`${Math.floor(whole / 60)} min`, whole % 60 && `${whole % 60} s`]);
  return joined([
    `${Math.floor(whole / 3600)} h`,
    Math.floor((whole % 3600) / 60) && `${Math.floor((whole % 3600) / 60)} min`,
  ]);
}

/** `45 s`, `3 h`, `12 d`: one unit, for columns. */
export function formatAge(milliseconds: number): string {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

/** Rows as left-aligned columns; columns named in `right` are right-aligned. Cells may hold any text. */
export function formatTable(cells: readonly (readonly string[])[], right: readonly number[] = []): string {
  const rows = cells.map((row) => row.map(printable));
  const widths: number[] = [];
  for (const row of rows) row.forEach((cell, i) => (widths[i] = Math.max(widths[i] ?? 0, cell.length)));
  return rows
    .map((row) =>
      row
        .map((cell, i) => (right.includes(i) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}

function joined(parts: (string | 0)[]): string {
  return parts.filter((part) => part !== 0).join(' ');
}
