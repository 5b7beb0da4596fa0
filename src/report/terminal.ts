import type { Output } from './output.ts';
import type { Terminal } from './progress.ts';

const CODES = { red: 31, yellow: 33, green: 32, dim: 2 } as const;

/**
 * stderr as it is: colours as `NO_COLOR` and `FORCE_COLOR` say, a bar only on a real terminal outside CI.
 * @param stream tells what stderr is; not asked before somebody wants to know
 */
export function stderrTerminal(
  output: Pick<Output, 'write'>,
  stream: () => Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>,
  env: Readonly<Record<string, string>>,
): Terminal {
  const tty = (): boolean => env['TERM'] !== 'dumb' && stream().isTTY;
  return {
    write: (text) => output.write(text),
    get interactive() {
      return env['CI'] === undefined && tty();
    },
    get columns() {
      // 0 on a terminal that nobody gave a size: `docker run -t`.
      return stream().columns || 80;
    },
    colour: (name, text) => ((wantsColour(env) ?? tty()) ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text),
  };
}

/** Whether a terminal shows more than ASCII. Where nothing says so, as in most containers, it does. */
export function showsUnicode(env: Readonly<Record<string, string>>): boolean {
  // Of the Linux console, and of terminals that know nothing.
  if (env['TERM'] === 'linux' || env['TERM'] === 'dumb') return false;
  const locale = env['LC_ALL'] ?? env['LC_CTYPE'] ?? env['LANG'];
  return locale === undefined || /utf-?8/i.test(locale);
}

function wantsColour(env: Readonly<Record<string, string>>): boolean | undefined {
  if (env['NO_COLOR'] !== undefined) return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== 'false';
  return undefined;
}
