import type { StoreDiagnosis } from '../commands/doctor-store.ts';
import type { Document } from './documents.ts';
import { signsFor } from './findings.ts';
import { printable } from './printable.ts';

/**
 * A line for each finding and its mend, then the table in Markdown.
 * @param env says what the terminal can show
 */
export function storeDiagnosisDocument(
  { findings, matrix, exitCode }: StoreDiagnosis,
  env: Readonly<Record<string, string>>,
): Document {
  const signs = signsFor(env);
  const lines = findings.flatMap(({ mark, fact, mend }) => [
    `${signs[mark]} ${printable(fact)}`,
    ...(mend === undefined ? [] : [`    ${printable(mend)}`]),
  ]);
  const rows = [['', 'here', 'sandbox-cache'], ['---', '---', '---'], ...matrix];
  const table = rows.map((row) => `| ${row.map(cell).join(' | ')} |`);
  return {
    json: { exitCode, findings, matrix },
    text: [...lines, ...(matrix.length === 0 ? [] : ['', ...table])].join('\n'),
    exitCode,
  };
}

function cell(text: string): string {
  return printable(text).replaceAll('|', '\\|');
}
