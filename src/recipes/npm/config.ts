/**
 * npm's configuration, found and read as npm does it, but without starting npm. That takes 300 ms, and every
 * start needs the configuration.
 *
 * The order of precedence is: the environment, the project's .npmrc, the user's, the global one, and the one
 * in npm's own package (@npmcli/config, `Config.load`).
 */
import { realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { CacheError, systemCode } from '../../errors.ts';
import { homeOf } from '../../files/home.ts';
import { isNullDevice, readError } from '../../files/read-errors.ts';
import { readSmallText } from '../../files/read-small-file.ts';
import type { Project } from '../support/recipe.ts';
import { which } from '../support/which.ts';
import { type IniValues, parseIni } from './ini.ts';

/** Looks settings up by npm's names, e.g. `install-strategy`. Undefined if nothing sets them. */
export interface NpmConfig {
  text(name: string): string | undefined;
  flag(name: string): boolean | undefined;
  /** @param known the values that npm accepts; others are ignored. @default all */
  list(name: string, known?: readonly string[]): readonly string[] | undefined;
  /** Each source by itself, from the weakest to the strongest. */
  sources(): NpmConfig[];
}

type Environment = Project['env'];

/** Hundreds of times the size of the longest .npmrc. */
const MAX_BYTES = 1024 * 1024;

/** @throws CacheError SOURCE_UNREADABLE for a file that npm would never finish reading */
export function readNpmConfig(project: Pick<Project, 'dir' | 'env'>): NpmConfig {
  const { dir, env } = project;
  const home = homeOf(env);
  const sources: IniValues[] = [fromEnvironment(env)];
  const first = (name: string): string | undefined => {
    const value = sources.map((source) => source.get(name)).find((found) => found !== undefined);
    return value === undefined ? undefined : [value].flat().at(-1);
  };
  const path = (name: string): string | undefined => {
    const text = first(name);
    if (text === undefined) return undefined;
    const expanded = expand(text, env);
    return expanded.startsWith('~/') ? join(home, expanded.slice(2)) : resolve(dir, expanded);
  };

  const builtIn = fromFile(builtInFile(project));
  const projectFile = join(dir, '.npmrc');
  const userFile = path('userconfig') ?? join(home, '.npmrc');
  if (projectFile !== userFile) sources.push(fromFile(projectFile));
  sources.push(fromFile(path('userconfig') ?? userFile));
  const globalFile = path('globalconfig');
  const prefix = path('prefix') ?? [builtIn.get('prefix') ?? defaultPrefix(project)].flat().at(-1)!;
  sources.push(fromFile(globalFile ?? join(prefix, 'etc/npmrc')), builtIn);
  return lookUp(sources, env);
}

function lookUp(sources: readonly IniValues[], env: Environment): NpmConfig {
  const lists = (name: string): string[][] =>
    sources
      .map((source) => source.get(name))
      .filter((value) => value !== undefined)
      .map((value) => [value].flat().map((item) => expand(item.trim(), env)));
  const text = (name: string): string | undefined => lists(name)[0]?.at(-1);
  return {
    text: (name) => given(text(name)),
    flag: (name) => {
      const value = text(name);
      return value === 'null' || value === undefined ? undefined : isTrue(value);
    },
    sources: () => [...sources].reverse().map((source) => lookUp([source], env)),
    list: (name, known) => lists(name)[0]?.filter((value) => known?.includes(value) ?? value !== ''),
  };
}

function given(text: string | undefined): string | undefined {
  return text === '' || text === 'null' ? undefined : text;
}

/** As nopt reads booleans: `0` and `false` are false, all else is true. */
function isTrue(text: string): boolean {
  return text === '' || (text !== 'false' && Number(text) !== 0);
}

/** `npm_config_install_strategy`, in any case; lists are separated by empty lines. */
function fromEnvironment(env: Environment): IniValues {
  const values = new Map<string, string | string[]>();
  for (const [name, value] of Object.entries(env)) {
    if (value === '' || !/^npm_config_/i.test(name)) continue;
    const setting = name
      .slice('npm_config_'.length)
      .toLowerCase()
      .replace(/(?!^)_/g, '-');
    // If a name comes in several spellings, npm takes the last one in the order of the environment, which is
    // not known.
    if (values.has(setting) && name !== name.toLowerCase()) continue;
    values.set(setting, value.includes('\n\n') ? value.split('\n\n') : value);
  }
  return values;
}

/** Like npm, takes a file that is missing or cannot be read for one without settings. */
function fromFile(path: string | undefined): IniValues {
  if (path === undefined) return new Map();
  try {
    return parseIni(readSmallText(path, { maxBytes: MAX_BYTES }));
  } catch (error) {
    const code = systemCode(error);
    if ((code !== 'ENOTREG' && code !== 'EFBIG') || isNullDevice(path)) return new Map();
    throw new CacheError(
      'SOURCE_UNREADABLE',
      `${path} ${readError(error)}, so npm's settings are not known`,
      {
        hint: 'npm reads it too. Replace it by an ordinary file, or remove it.',
        cause: error,
      },
    );
  }
}

/** npm replaces `${NAME}` if there is such a variable, and `${NAME?}` by nothing if there is none. */
function expand(text: string, env: Environment): string {
  if (!text.includes('${')) return text;
  return text.replace(
    /(?<!\\)(\\*)\$\{([^${}?]+)(\?)?\}/g,
    (whole, escapes: string, name: string, optional: string | undefined) => {
      if (escapes.length % 2 === 1) return whole.slice((escapes.length + 1) / 2);
      const otherwise = optional === undefined ? `\${${name}}` : '';
      return escapes.slice(escapes.length / 2) + (env[name] ?? otherwise);
    },
  );
}

/** /usr/local/lib/node_modules/npm/bin/npm-cli.js → /usr/local/lib/node_modules/npm/npmrc. */
function builtInFile(project: Pick<Project, 'dir' | 'env'>): string | undefined {
  const npm = realProgram('npm', project);
  // A script that stands in for npm (Volta, asdf) does not show where npm is.
  return npm?.endsWith('/bin/npm-cli.js') === true ? join(dirname(dirname(npm)), 'npmrc') : undefined;
}

/** /usr/local/bin/node → /usr/local. */
function defaultPrefix(project: Pick<Project, 'dir' | 'env'>): string {
  const { PREFIX, DESTDIR } = project.env;
  if (PREFIX !== undefined) return PREFIX;
  const prefix = dirname(dirname(realProgram('node', project) ?? process.execPath));
  return DESTDIR === undefined ? prefix : join(DESTDIR, prefix);
}

function realProgram(name: string, project: Pick<Project, 'dir' | 'env'>): string | undefined {
  const program = which(name, project);
  return program === undefined ? undefined : realpathSync(program);
}
