import type { Terminal } from './progress.ts';

const CODES = { red: 31, yellow: 33, green: 32, dim: 2 } as const;

/** stderr as it is: colours as `NO_COLOR` and `FORCE_COLOR` say, a bar only on a real terminal outside CI. */
export function stderrTerminal(stream: NodeJS.WriteStream, env: Readonly<Record<string, string>>): Terminal {
  const tty = stream.isTTY === true && env['TERM'] !== 'dumb';
  const colours = wantsColour(env) ?? tty;
  return {
    write: (text) => void stream.write(text),
    interactive: tty && env['CI'] === undefined,
    get columns() {
      return stream.columns ?? 80;
    },
    colour: (name, text) => (colours ? `\u001b[${CODES[name]}m${text}\u001b[0m` : text),
  };
}

function wantsColour(env: Readonly<Record<string, string>>): boolean | undefined {
  if (env['NO_COLOR'] !== undefined) return false;
  if (env['FORCE_COLOR'] !== undefined) return env['FORCE_COLOR'] !== '0' && env['FORCE_COLOR'] !== 'false';
  return undefined;
}
