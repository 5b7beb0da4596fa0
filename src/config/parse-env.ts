/**
 * Reads the text of an env file by the rules that Docker Compose documents, because the same file is given to
 * Compose (`env_file`):
 * https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax
 *
 * One rule is left out on purpose: references to other variables (`$NAME`, `${NAME}`) are not replaced. The
 * file may come with a repository. It could otherwise send any variable of the environment elsewhere, for
 * example as part of a bucket's name.
 */
export interface EnvLine {
  name: string;
  /** Without quotes, escapes and comments. */
  value: string;
  /** Line of the name, from 1. */
  line: number;
  /** Whether the value holds a `$` that Compose would replace or refuse. */
  refers: boolean;
}

/** Thrown for what Compose refuses as well. */
export class EnvSyntaxError extends Error {
  readonly line: number;

  constructor(line: number, message: string) {
    super(message);
    this.line = line;
  }
}

const NAMED =
  /(?:export[^\S\n]+)?(?<name>[\p{L}\p{N}_.\-[\]]+)[^\S\n]*(?:(?<sign>[=:])(?<space>[^\S\n]*)|\n|$)/uy;
// Each character can be matched in only one way, so a quote that is never closed is noticed at once, however
// much follows it.
const DOUBLE = /"(?<text>[^"\\]*(?:\\[\s\S][^"\\]*)*)"/y;
const SINGLE = /'(?<text>[^'\\]*(?:\\[\s\S][^'\\]*)*)'/y;
const REST = /(?<text>[^\n]*)/y;
const BETWEEN = /(?:\s|#[^\n]*)*/y;

/** @throws EnvSyntaxError, which repeats nothing of the text: it may hold a secret */
export function parseEnv(text: string): EnvLine[] {
  const found: EnvLine[] = [];
  let at = text.startsWith('\uFEFF') ? 1 : 0;
  let line = 1;
  // Neither an environment nor a path can hold a NUL character.
  const zero = text.indexOf('\0');
  if (zero !== -1) refuse(text.slice(0, zero).split('\n').length, 'holds a NUL character');

  function take(pattern: RegExp): Record<string, string | undefined> | undefined {
    pattern.lastIndex = at;
    const match = pattern.exec(text);
    if (match === null) return undefined;
    at = pattern.lastIndex;
    line += match[0].split('\n').length - 1;
    return match.groups ?? {};
  }

  for (take(BETWEEN); at < text.length; take(BETWEEN)) {
    const start = line;
    const { name, sign, space = '' } = take(NAMED) ?? refuse(start, 'is neither an assignment nor a comment');
    // For a name alone, Compose passes on the variable of the environment. That wins here anyway.
    if (name === undefined || sign === undefined) continue;
    const quote = text[at];
    if (quote === '"' || quote === "'") {
      const quoted = take(quote === '"' ? DOUBLE : SINGLE)?.['text'] ?? refuse(start, 'has no closing quote');
      found.push({ name, line: start, ...(quote === '"' ? unescape(quoted) : literal(quoted)) });
    } else {
      const rest = `${space}${take(REST)?.['text']}`;
      found.push({ name, line: start, ...withoutReferences(rest.replace(/ #.*$/s, '').trim()) });
    }
  }
  return found;
}

type Value = Pick<EnvLine, 'value' | 'refers'>;

/** `Let\'s go` → `Let's go`; everything else stays as it is. */
function literal(text: string): Value {
  return { value: text.replaceAll("\\'", "'"), refers: false };
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
};

/** `a\tb \"c\" \0123 \$d` → `a	b "c" S $d`; an unknown escape stays as it is. */
function unescape(text: string): Value {
  let refers = false;
  const value = text.replace(
    /\\(?:(?<letter>[abfnrtv"\\$])|0(?<octal>(?!000)[0-7]{3}))|\${1,2}/g,
    (match, letter: string | undefined, octal: string | undefined) => {
      if (octal !== undefined) return String.fromCharCode(Number.parseInt(octal, 8));
      if (letter !== undefined) return ESCAPES[letter] ?? letter;
      refers ||= match === '$';
      return '$';
    },
  );
  return { value, refers };
}

/** `$$` is how Compose writes a `$`. */
function withoutReferences(text: string): Value {
  const value = text.replaceAll('$$', '\0');
  return { value: value.replaceAll('\0', '$'), refers: value.includes('$') };
}

function refuse(line: number, why: string): never {
  throw new EnvSyntaxError(line, why);
}
