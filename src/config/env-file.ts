import { isNullDevice, isOutOfFiles, MORE_FILES_HINT, readError } from '../files/read-errors.ts';
import { readSmallFile } from '../files/read-small-file.ts';
import { systemCode } from '../errors.ts';
import { EnvSyntaxError, type EnvLine, parseEnv } from './parse-env.ts';
import { invalid, type Variables, withoutEmpty } from './values.ts';

export const ENV_FILE = '.env.claude-sandbox';

/**
 * The project's own settings. They may have come with a repository, so they count for less than the
 * environment.
 */
export interface EnvFile {
  /** Variables that are not empty. */
  readonly values: Variables;
  /** Line of each name, from 1. */
  readonly lines: Readonly<Record<string, number>>;
  /** Names whose values refer to other variables. */
  readonly references: readonly string[];
  /** Whether others may read secrets in it. */
  readonly exposed: boolean;
}

const MAX_BYTES = 256 * 1024;
export const NO_FILE: EnvFile = { values: {}, lines: {}, references: [], exposed: false };

/** @throws CacheError CONFIG_INVALID for a file that cannot be read or that Compose would not take */
export function readEnvFile(path: string): EnvFile {
  let text: string;
  let mode: number;
  try {
    const { bytes, stat } = readSmallFile(path, { maxBytes: MAX_BYTES });
    text = bytes.toString('utf8');
    mode = Number(stat.mode);
  } catch (error) {
    const code = systemCode(error);
    if (code === 'ENOENT' || code === 'ENOTDIR') return NO_FILE;
    if (code === 'ENOTREG' && isNullDevice(path)) return NO_FILE;
    const hint = isOutOfFiles(error) ? MORE_FILES_HINT : 'Make it a readable text file, or remove it.';
    throw invalid(undefined, `${path} ${readError(error)}`, { hint, cause: error });
  }
  const values: Record<string, string> = {};
  const lines: Record<string, number> = {};
  const references = new Set<string>();
  for (const { name, value, line, refers } of parse(text)) {
    if (!/^[A-Za-z_]\w*$/.test(name)) continue;
    values[name] = value;
    lines[name] = line;
    if (refers) references.add(name);
    else references.delete(name);
  }
  const file = { values: withoutEmpty(values), lines, references: [...references] };
  const holdsSecret = Object.keys(file.values).some((name) =>
    /SECRET|TOKEN|PASSWORD|SIGNING_KEY|TICKET/.test(name),
  );
  return { ...file, exposed: holdsSecret && (mode & 0o077) !== 0 };
}

/** Other names do not matter here, unless a recipe asks for them. */
const IS_OURS = /^(CACHE|AWS)_|_PROXY$/i;

/** @throws CacheError CONFIG_INVALID for a setting of ours that refers to another variable */
export function requirePlain(file: EnvFile): void {
  for (const name of file.references) if (IS_OURS.test(name)) requireNoReference(file, name);
}

/** @throws CacheError CONFIG_INVALID for a value that Compose would put together from other variables */
export function requireNoReference(file: Pick<EnvFile, 'lines' | 'references'>, name: string): void {
  if (!file.references.includes(name)) return;
  throw invalid(
    name,
    `${ENV_FILE} line ${file.lines[name]}: ${name} refers to another variable, and these are not replaced here`,
    { hint: 'Write the value out. A $ that is meant as it is goes into single quotes.' },
  );
}

function parse(text: string): EnvLine[] {
  try {
    return parseEnv(text);
  } catch (error) {
    if (!(error instanceof EnvSyntaxError)) throw error;
    throw invalid(undefined, `${ENV_FILE} line ${error.line} ${error.message}`, {
      hint: 'Write NAME=value, as for Docker Compose.',
    });
  }
}
