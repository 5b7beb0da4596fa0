/**
 * The configuration as far as it can be read. Invalid settings are set aside one by one, so that one bad
 * value does not hide the other problems.
 */
import { resolve } from 'node:path';
import { CacheError } from '../errors.ts';
import { configFrom, projectDirectory, readEnvironment, type Config, type Flags } from './config.ts';
import { ENV_FILE, NO_FILE, readEnvFile, type EnvFile } from './env-file.ts';
import type { Sources } from './sources.ts';
import { SettingError } from './values.ts';

/** Something that makes every command end with CONFIG_INVALID. */
export interface ConfigProblem {
  readonly error: CacheError;
  /** The invalid variable; undefined if it is the file as a whole. */
  readonly setting: string | undefined;
  readonly from: 'environment' | 'file';
}

export interface Survey {
  readonly flags: Flags;
  /** Absolute path. */
  readonly projectDir: string;
  /** Absolute path of `.env.claude-sandbox`, which need not be there. */
  readonly envPath: string;
  /** As they are. A file that cannot be read counts as empty. */
  readonly sources: Sources;
  /** In the order in which a command would meet them. */
  readonly problems: readonly ConfigProblem[];
  /** The configuration without the invalid values; undefined if there is none. */
  readonly config: Config | undefined;
}

/** @throws CacheError USAGE if the project directory is not a directory */
export function surveyConfig(flags: Flags, real = readEnvironment()): Survey {
  const projectDir = projectDirectory(flags);
  const envPath = resolve(projectDir, ENV_FILE);
  const problems: ConfigProblem[] = [];
  const sources: Sources = { real, file: readOrNothing(envPath, problems) };
  const config = readTheRest({ flags, projectDir, sources }, problems);
  return { flags, projectDir, envPath, sources, problems, config };
}

function readOrNothing(path: string, problems: ConfigProblem[]): EnvFile {
  try {
    return readEnvFile(path);
  } catch (error) {
    if (!(error instanceof SettingError)) throw error;
    problems.push({ error, setting: error.setting, from: 'file' });
    return NO_FILE;
  }
}

function readTheRest(
  origins: { flags: Flags; projectDir: string; sources: Sources },
  problems: ConfigProblem[],
): Config | undefined {
  let { sources } = origins;
  for (;;) {
    try {
      return configFrom({ ...origins, sources });
    } catch (error) {
      if (!(error instanceof CacheError)) throw error;
      const setting = error instanceof SettingError ? error.setting : undefined;
      const from = setting !== undefined && setting in sources.real ? 'environment' : 'file';
      problems.push({ error, setting, from });
      const left = setting === undefined ? sources : without(sources, setting);
      // Nothing was set aside, so the next attempt would fail in the same way.
      if (left === sources) return undefined;
      sources = left;
    }
  }
}

/** Removes a variable from the source that counts. Returns the same object if neither source has it. */
function without(sources: Sources, name: string): Sources {
  const { real, file } = sources;
  if (name in real) return { ...sources, real: withoutName(real, name) };
  if (!(name in file.values) && !file.references.includes(name)) return sources;
  const references = file.references.filter((other) => other !== name);
  return { ...sources, file: { ...file, values: withoutName(file.values, name), references } };
}

function withoutName(values: Readonly<Record<string, string>>, name: string): Record<string, string> {
  return Object.fromEntries(Object.entries(values).filter(([other]) => other !== name));
}
