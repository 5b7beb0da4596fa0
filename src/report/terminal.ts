import type { Output } from './output.ts';
import type { Terminal } from './progress.ts';

const CODES = { red: 31, yellow: 33, green: 32, dim: 2 } as const;

/**
 * The terminal of stderr. `NO_COLOR` and `FORCE_COLOR` decide about colours; a bar is drawn only on a real
 * terminal outside CI.
 * @param stream gives Node's stream for stderr; called only when needed
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
      // It is 0 on a terminal without a size, as in `docker run -t`.
      return stream().columns || 80;
    },
    colour: (name, text) => ((wantsColour(env) ?? tty()) ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text),
  };
}

/** Whether a terminal can show more than ASCII. If nothing says otherwise, as in most containers, it can. */
export function showsUnicode(env: Readonly<Record<string, string>>): boolean {
  // The Linux console and dumb terminals cannot.
  if (env['TERM'] === 'linux' || env['TERM'] === 'dumb') return false;
  const locale = env['LC_ALL'] ?? env['LC_CTYPE'] ?? env['LANG'];
  return locale === undefined || /utf-?8/i.test(locale);
}

function wantsColour(env: Readonly<Record<string, string>>): boolean | undefined {
  if (env['NO_COLOR'] !== undefined) return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== 'false';
  return undefined;
}
