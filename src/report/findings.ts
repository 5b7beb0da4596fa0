import type { Diagnosis } from '../commands/doctor.ts';
import type { Finding, Section } from '../doctor/finding.ts';
import type { Document } from './documents.ts';
import { counted } from '../text/counted.ts';
import { printable, printableMessage } from './printable.ts';
import { showsUnicode } from './terminal.ts';

const SIGNS = { ok: '✓', warning: '!', failure: '✗' } as const;
const PLAIN_SIGNS = { ok: '+', warning: '!', failure: 'x' } as const;

/** Signs in ASCII if the terminal cannot show others. */
export function signsFor(env: Readonly<Record<string, string>>): Readonly<Record<Finding['mark'], string>> {
  return showsUnicode(env) ? SIGNS : PLAIN_SIGNS;
}

const TITLES = {
  settings: 'Settings',
  files: 'Files',
  credentials: 'Credentials',
  connection: 'Connection',
  store: 'Store',
  project: 'Project',
  machine: 'Machine',
} as const satisfies Record<Section, string>;

/**
 * The report of `doctor`: a line for each finding, below it the command that fixes it, and at the end the
 * numbers.
 * @param env shows what the terminal can display
 */
export function doctorDocument(
  { findings, exitCode }: Diagnosis,
  env: Readonly<Record<string, string>>,
): Document {
  const signs = signsFor(env);
  const sections = [...new Set(findings.map(({ section }) => section))];
  const blocks = sections.map((section) => {
    const own = findings.filter((finding) => finding.section === section);
    return [TITLES[section], ...own.flatMap((finding) => lines(finding, signs))].join('\n');
  });
  return { json: { exitCode, findings }, text: [...blocks, summary(findings)].join('\n\n'), exitCode };
}

function lines({ mark, fact, mend }: Finding, signs: Readonly<Record<Finding['mark'], string>>): string[] {
  return [
    `  ${signs[mark]} ${printableMessage(fact)}`,
    ...(mend === undefined ? [] : [`      ${printable(mend)}`]),
  ];
}

function summary(findings: readonly Finding[]): string {
  const count = (mark: Finding['mark']): number => findings.filter((finding) => finding.mark === mark).length;
  const [failures, warnings] = [count('failure'), count('warning')];
  if (failures + warnings === 0) return 'Nothing wrong was found.';
  const found = [
    ...(failures === 0 ? [] : [counted(failures, 'failure')]),
    ...(warnings === 0 ? [] : [counted(warnings, 'warning')]),
  ];
  return `${found.join(', ')}.${failures === 0 ? ' None of it makes caching fail.' : ' Caching fails until the failures are mended.'}`;
}
