/**
 * Says what is wrong with a command line in our own words. commander's messages are written for programmers,
 * and have no hint.
 */

export interface UsageError {
  code: 'USAGE';
  message: string;
  hint: string;
}

/** Messages of commander, and our words for them. All others stay as they are. */
const REWORDED: readonly (readonly [RegExp, string])[] = [
  // option '--older-than <age>' argument 'x' is invalid. It takes …
  [/^option '(?:-\w, )?(--[\w-]+)[^']*' argument '(.*?)' is invalid\. /s, '$1 is "$2". '],
  [
    /^option '(?:-\w, )?(--[\w-]+).*' cannot be used with option '(?:-\w, )?(--[\w-]+).*'$/,
    '$1 and $2 exclude each other',
  ],
  // command-argument value 'tcsh' is invalid for argument 'shell'. Allowed choices are bash, zsh, fish.
  [
    /^command-argument value '(.*)' is invalid for argument '(.*)'\. Allowed choices are /s,
    '<$2> is "$1". It takes one of: ',
  ],
  [/^missing required argument '(.*)'$/, '<$1> is missing'],
  [/^option '(?:-\w, )?(--[\w-]+) (.*)' argument missing$/, '$1 needs a value: $1 $2'],
  [
    /^too many arguments for '(.*)'\. Expected (\d+) arguments?.* but got (\d+)\.$/,
    '$1 takes at most $2, not $3 arguments',
  ],
];

/**
 * @param text an error message of commander, e.g. `error: unknown command 'restor' (Did you mean restore?)`
 * @param commandLine the program and the command, if it is known: `sandbox-cache restore`
 */
export function usageError(text: string, commandLine: string): UsageError {
  const plain = text.trim().replace(/^error: /, '');
  const [pattern, words] = REWORDED.find(([candidate]) => candidate.test(plain)) ?? [];
  const message = (pattern === undefined ? plain : plain.replace(pattern, words!))
    .replace(/\n\((Did you mean .*)\)$/, '. $1')
    .replace(/\.$/, '');
  return { code: 'USAGE', message, hint: `${commandLine} --help shows what it takes.` };
}
