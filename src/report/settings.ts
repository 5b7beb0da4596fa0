import type { EffectiveSetting } from '../config/effective.ts';
import { describeUnknown, unknownNames } from '../config/setting-names.ts';
import type { Survey } from '../config/survey.ts';
import type { Document } from './documents.ts';
import { formatTable } from './format.ts';
import { withHint } from './printable.ts';

/** Every setting in a table; below it the invalid ones, and unknown names. */
export function settingsDocument(survey: Survey, settings: readonly EffectiveSetting[]): Document {
  const { sources, problems, projectDir } = survey;
  const rows = settings.map(({ name, value, source, line, problem }) => [
    name,
    value,
    `${source}${line === undefined ? '' : `, line ${line}`}${problem === undefined ? '' : ' (cannot be used)'}`,
  ]);
  const unknown = unknownNames(sources);
  const notes = [
    ...problems.map(({ error }) => withHint(error.message, error.hint)),
    ...unknown.map((name) => withHint(describeUnknown(sources, name), undefined)),
  ];
  // Every other command would end with this code too.
  const exitCode = problems.length === 0 ? 0 : 2;
  return {
    json: {
      exitCode,
      project: projectDir,
      settings,
      problems: problems.map(({ setting, from, error }) => ({
        setting: setting ?? null,
        from,
        message: error.message,
        ...(error.hint === undefined ? {} : { hint: error.hint }),
      })),
      unknown: unknown.map(({ name, from, meant }) => ({ name, from, meant: meant ?? null })),
    },
    text: [formatTable([['SETTING', 'VALUE', 'SOURCE'], ...rows], []), ...notes].join('\n'),
    exitCode,
  };
}
