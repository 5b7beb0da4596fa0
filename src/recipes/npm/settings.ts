import { readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Project } from '../recipe.ts';

/** The npm settings that decide what an install leaves on disk. */
export interface Settings {
  omit: ReadonlySet<string>;
  binLinks: boolean;
  /** Peers are then not installed by themselves. */
  legacyPeerDeps: boolean;
  os: string | undefined;
  cpu: string | undefined;
  libc: string | undefined;
}

type Values = ReadonlyMap<string, readonly string[]>;

/** Reads them as npm does: the environment wins over the project's .npmrc, that over the user's. */
export function npmSettings({ dir, env }: Pick<Project, 'dir' | 'env'>): Settings {
  const variables = fromEnvironment(env);
  const userFile = variables.get('userconfig')?.[0] ?? join(env['HOME'] ?? homedir(), '.npmrc');
  const sources = [variables, fromFile(join(dir, '.npmrc'), env), fromFile(resolve(dir, userFile), env)];
  const all = (name: string): readonly string[] | undefined =>
    sources.map((source) => source.get(name)).find((values) => values !== undefined);
  const one = (name: string): string | undefined => all(name)?.at(-1);
  return {
    omit: omitted(all, env['NODE_ENV']),
    binLinks: one('bin-links') !== 'false',
    legacyPeerDeps: one('legacy-peer-deps') === 'true',
    os: one('os'),
    cpu: one('cpu'),
    libc: one('libc'),
  };
}

/** As npm's `buildOmitList`, with the settings it has deprecated; `NODE_ENV` only decides what `omit` is by default. */
function omitted(
  all: (name: string) => readonly string[] | undefined,
  nodeEnv: string | undefined,
): ReadonlySet<string> {
  const is = (name: string, pattern: RegExp): boolean => pattern.test(all(name)?.at(-1) ?? '');
  const omit = new Set(all('omit') ?? (nodeEnv === 'production' ? ['dev'] : []));
  const include = new Set(all('include'));
  if (is('only', /^prod(uction)?$/) || is('production', /^true$/)) omit.add('dev');
  else if (is('production', /^false$/)) include.add('dev');
  if (is('also', /^dev/) || is('dev', /^true$/)) include.add('dev');
  if (is('optional', /^false$/)) omit.add('optional');
  if (is('optional', /^true$/)) include.add('optional');
  return new Set([...omit].filter((type) => !include.has(type)));
}

function fromEnvironment(env: Readonly<Record<string, string>>): Values {
  const values = new Map<string, string[]>();
  for (const [name, value] of Object.entries(env)) {
    const key = /^npm_config_(.+)$/i.exec(name)?.[1];
    if (key !== undefined && value !== '') {
      values.set(key.toLowerCase().replaceAll('_', '-'), value.split(/[\s,]+/));
    }
  }
  return values;
}

/** .npmrc is an ini file: `omit=dev`, `omit[]=dev`, `bin-links=false`, `userconfig=${HOME}/x`. */
function fromFile(path: string, env: Readonly<Record<string, string>>): Values {
  const values = new Map<string, string[]>();
  let text;
  try {
    text = readFileSync(path, 'utf8');
  } catch {
    return values;
  }
  for (const line of text.split(/\r?\n/)) {
    const found = /^\s*(?<name>[^=;#[\]\s]+)(?<list>\[\])?\s*(?:=\s*(?<value>.*?))?\s*$/.exec(line)?.groups;
    if (found?.['name'] === undefined) continue;
    const value = (found['value'] ?? 'true')
      .replace(/^(["'])(.*)\1$/, '$2')
      .replace(/\$\{([^}]+)\}/g, (_, name: string) => env[name] ?? '');
    const earlier = found['list'] === undefined ? [] : (values.get(found['name']) ?? []);
    values.set(found['name'], [...earlier, value]);
  }
  return values;
}
