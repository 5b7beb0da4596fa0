/**
 * The parts of `--help` below the options. Their lines must be short enough for any terminal, because
 * commander only wraps its own.
 */
import type { HelpConfiguration } from 'commander';

/**
 * Command lines to copy, each below a line that says what it does. That line is left out if the text is
 * empty.
 */
export function examples(rows: readonly (readonly [command: string, what: string])[]): string {
  const lines = rows.flatMap(([command, what]) => [
    ...(what === '' ? [] : [`  # ${what}`]),
    `  $ ${command}`,
  ]);
  return `\nExamples:\n${lines.join('\n')}\n`;
}

/** What the exit codes of a command mean. */
export function exitCodes(rows: readonly (readonly [code: string, meaning: string])[]): string {
  const width = Math.max(...rows.map(([code]) => code.length));
  return `\nExit codes:\n${rows.map(([code, meaning]) => `  ${code.padEnd(width)}  ${meaning}`).join('\n')}\n`;
}

/** In fewer columns than this, a description would have one word on each line. */
const LEAST_COLUMNS = 30;
const INDENT = 4;

/**
 * How commander lays out its own parts: descriptions beside the terms, or below them if the terminal is
 * narrow.
 */
export const HELP_LAYOUT: HelpConfiguration = {
  showGlobalOptions: true,
  minWidthToWrap: LEAST_COLUMNS,
  formatItem(term, termWidth, description, helper) {
    const width = helper.helpWidth ?? 80;
    const beside = width - termWidth - 2 * INDENT;
    if (description === '' || beside >= LEAST_COLUMNS) {
      const lines = helper.boxWrap(description, Math.max(beside, LEAST_COLUMNS)).split('\n');
      return `  ${term.padEnd(termWidth)}  ${lines.join(`\n${' '.repeat(termWidth + INDENT)}`)}`.trimEnd();
    }
    const lines = helper.boxWrap(description, width - 2 * INDENT).split('\n');
    return [`  ${term}`, ...lines.map((line) => `${' '.repeat(2 * INDENT)}${line}`)].join('\n');
  },
};
