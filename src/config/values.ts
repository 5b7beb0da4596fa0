/** Parses the text of variables. A text that does not parse is an error that names the variable. */
import { CacheError } from '../errors.ts';

export type Variables = Readonly<Record<string, string>>;

export function withoutEmpty(environment: NodeJS.ProcessEnv): Variables {
  return Object.fromEntries(
    Object.entries(environment).filter(
      (pair): pair is [string, string] => pair[1] !== undefined && pair[1] !== '',
    ),
  );
}

export function boolean(env: Variables, name: string, fallback: boolean): boolean {
  const text = env[name];
  if (text === undefined) return fallback;
  const value = parseBoolean(text);
  if (value === undefined) throw invalid(name, `${name} is "${text}"`, { hint: 'It takes true or false.' });
  return value;
}

/** `true`, `1`, `yes`, `on` and their opposites; undefined when it is none of these. */
export function parseBoolean(text: string): boolean | undefined {
  if (/^(true|1|yes|on)$/i.test(text)) return true;
  if (/^(false|0|no|off)$/i.test(text)) return false;
  return undefined;
}

export function integer(
  env: Variables,
  name: string,
  range: { least: number; most: number },
): number | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= range.least && value <= range.most)) {
    throw invalid(name, `${name} is "${text}"`, {
      hint: `It takes a whole number from ${range.least} to ${range.most}.`,
    });
  }
  return value;
}

export function seconds(env: Variables, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined) return fallback * 1000;
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : 0;
  // setTimeout fires at once beyond 2^31 ms.
  if (!(value > 0 && value <= 86_400)) {
    throw invalid(name, `${name} is "${text}"`, {
      hint: 'It takes seconds: a number above 0, at most 86400 (a day).',
    });
  }
  return Math.ceil(value * 1000);
}

export function size(env: Variables, name: string, fallback: number): number {
  const text = env[name];
  if (text === undefined) return fallback;
  const value = parseSize(text);
  if (value === undefined || value <= 0 || value > Number.MAX_SAFE_INTEGER)
    throw invalid(name, `${name} is "${text}"`, { hint: 'It takes a size, e.g. 500MB or 10GB.' });
  return value;
}

export function oneOf<T extends string>(env: Variables, name: string, values: readonly T[]): T | undefined {
  const text = env[name];
  if (text === undefined) return undefined;
  const value = values.find((candidate) => candidate === text);
  if (value === undefined)
    throw invalid(name, `${name} is "${text}"`, { hint: `It takes one of: ${values.join(', ')}.` });
  return value;
}

/** A setting that cannot be used. */
export class SettingError extends CacheError {
  /** The invalid variable. Undefined if it is the file as a whole. */
  readonly setting: string | undefined;

  constructor(setting: string | undefined, message: string, options: { hint: string; cause?: unknown }) {
    super('CONFIG_INVALID', message, options);
    this.setting = setting;
  }
}

/** @param setting the invalid variable; undefined if it is the file as a whole */
export function invalid(
  setting: string | undefined,
  message: string,
  { hint, cause }: { hint: string; cause?: unknown },
): SettingError {
  return new SettingError(setting, message, { hint, cause });
}

/** `500MB`, `10GB`, `1GiB`, `1048576` → bytes; undefined when it is none of these. */
export function parseSize(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*(?:([kmgt])(i)?b?|b)?$/i.exec(text.trim());
  if (match === null) return undefined;
  const power = match[2] === undefined ? 0 : 'kmgt'.indexOf(match[2].toLowerCase()) + 1;
  return Math.round(Number(match[1]) * (match[3] === undefined ? 1000 : 1024) ** power);
}

/** `30d`, `12h`, `90m`, `45s`, `2w` → milliseconds; undefined when it is none of these. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([smhdw])$/i.exec(text.trim());
  if (match === null) return undefined;
  const unit = { s: 1, m: 60, h: 3600, d: 86_400, w: 604_800 }[match[2]!.toLowerCase()]!;
  return Number(match[1]) * unit * 1000;
}
