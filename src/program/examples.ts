/** Command lines to copy, as `--help` ends with them. */
export function examples(rows: readonly (readonly [string, string])[]): string {
  const width = Math.max(...rows.map(([line]) => line.length));
  const lines = rows.map(([line, what]) => `  $ ${what === '' ? line : `${line.padEnd(width)}  # ${what}`}`);
  return `\nExamples:\n${lines.join('\n')}\n`;
}
