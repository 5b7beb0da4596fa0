/** Commands that fix something, to be typed into a POSIX shell. */
import { relative } from 'node:path';
import type { Survey } from '../config/survey.ts';
import { shellWord } from '../text/shell-word.ts';

/** A path as a shell word, relative if it lies below the current directory. */
export function pathWord(path: string): string {
  const short = relative(process.cwd(), path);
  const isBelow = short !== '' && !short.startsWith('..');
  // A leading dash would be taken for an option.
  return shellWord(isBelow ? (short.startsWith('-') ? `./${short}` : short) : path);
}

/** Removes a variable from where it is set. */
export function unset({ sources, envPath }: Survey, name: string, from: 'environment' | 'file'): string {
  if (from === 'environment') return `unset ${name}`;
  // A value of several lines has to be removed by a person.
  if (sources.file.values[name]?.includes('\n') === true) return `\${EDITOR:-vi} ${pathWord(envPath)}`;
  return `sed -i '${sources.file.lines[name]}d' ${pathWord(envPath)}`;
}

/** Gives a variable another value where it is set, or in the file if it is not set. */
export function set(survey: Survey, name: string, value: string): string {
  const { sources, envPath } = survey;
  if (name in sources.real) return `export ${name}=${shellWord(value)}`;
  const assignment = shellWord(`${name}=${value}`);
  const append = `echo ${assignment} >> ${pathWord(envPath)}`;
  if (!(name in sources.file.values)) return append;
  return `${unset(survey, name, 'file')} && ${append}`;
}

/** Asks for a value for this shell. */
export function ask(name: string): string {
  return `read -r ${name} && export ${name}`;
}

/** The same without showing what is typed. */
export function askSecretly(name: string): string {
  return `read -rs ${name} && export ${name}`;
}

/** Asks for a value, which is not shown, and adds it to the file. */
export function askIntoFile({ envPath }: Survey, name: string): string {
  return `read -rs VALUE && echo "${name}=$VALUE" >> ${pathWord(envPath)}`;
}

/** Renames a variable where it is set. */
export function rename(survey: Survey, { name, from, to }: Renaming): string {
  if (from === 'environment') return `export ${to}="$${name}"; unset ${name}`;
  return `sed -i '${survey.sources.file.lines[name]}s/${name}/${to}/' ${pathWord(survey.envPath)}`;
}

interface Renaming {
  name: string;
  from: 'environment' | 'file';
  to: string;
}
