import { join } from 'node:path';
import { readSmallText } from '../../files/read-small-file.ts';
import type { Project } from '../support/recipe.ts';
import { type NpmConfig, readNpmConfig } from './config.ts';

/** The npm settings that decide what an install leaves on disk. */
export interface Settings {
  omit: ReadonlySet<string>;
  binLinks: boolean;
  /** If true, peers are not installed automatically. */
  legacyPeerDeps: boolean;
  /** If true, `file:` dependencies are copied, not linked. */
  installLinks: boolean;
  /** Names or folders of the workspaces that an install is narrowed down to; empty for all. */
  workspaces: readonly string[];
  /** `workspaces=false`: the root's dependencies alone. */
  ignoreWorkspaces: boolean;
  /** If true, the root's dependencies are installed as well as those of `workspaces`. */
  includeRoot: boolean;
  os: string | undefined;
  cpu: string | undefined;
  libc: string | undefined;
}

const TYPES = ['dev', 'optional', 'peer'];

/**
 * The settings that change what is installed, by npm's names (docs/keys.md). A flag or text has its default
 * value, which does not go into the key. A list has the values that npm accepts; an empty one means any.
 */
const KEY_SETTINGS = {
  also: '',
  'bin-links': true,
  cpu: '',
  dev: false,
  'global-style': false,
  'ignore-scripts': false,
  include: ['prod', ...TYPES],
  'include-workspace-root': false,
  'install-links': false,
  'install-strategy': 'hoisted',
  'legacy-bundling': false,
  'legacy-peer-deps': false,
  libc: '',
  omit: TYPES,
  only: '',
  optional: '',
  os: '',
  production: '',
  'rebuild-bundle': true,
  workspace: [],
  workspaces: true,
} as const satisfies Record<string, boolean | string | readonly string[]>;

/** The environment variables of these settings, e.g. `npm_config_omit`. */
export const SETTING_VARIABLES = Object.keys(KEY_SETTINGS).map(variableOf);

/** The values of these settings, from whatever source, by variable. Empty for npm's default. */
export function keySettings(project: Pick<Project, 'dir' | 'env'>): Record<string, string> {
  const config = readNpmConfig(project);
  const settings = Object.fromEntries(
    Object.entries(KEY_SETTINGS).map(([name, usual]) => {
      const value = valueOf(config, name, usual) ?? '';
      return [variableOf(name), value === String(usual) ? '' : value];
    }),
  );
  return { ...settings, allowScripts: deniedScripts(project, config) };
}

/**
 * The packages whose install scripts `allowScripts` in package.json forbids, since npm 11.19: in order, with
 * commas. Those that it allows run anyway, as far as an install succeeds.
 */
function deniedScripts({ dir }: Pick<Project, 'dir'>, config: NpmConfig): string {
  try {
    const text = readSmallText(join(dir, 'package.json'), { maxBytes: MAX_MANIFEST_BYTES });
    // Nearly always: it need not be parsed at each start.
    if (!text.includes('"allowScripts"') || config.flag('dangerously-allow-all-scripts') === true) return '';
    const { allowScripts } = JSON.parse(text) as { allowScripts?: Record<string, unknown> };
    const denied = Object.entries(allowScripts ?? {}).filter(([, allowed]) => allowed === false);
    return denied
      .map(([name]) => name)
      .sort()
      .join(',');
  } catch {
    // npm will say what is wrong with it.
    return '';
  }
}

const MAX_MANIFEST_BYTES = 16 * 1024 * 1024;

function valueOf(
  config: NpmConfig,
  name: string,
  usual: boolean | string | readonly string[],
): string | undefined {
  if (typeof usual === 'string') return config.text(name);
  if (typeof usual === 'boolean') return config.flag(name)?.toString();
  return config.list(name, usual.length === 0 ? undefined : usual)?.join(',');
}

function variableOf(setting: string): string {
  return `npm_config_${setting.replaceAll('-', '_')}`;
}

export function npmSettings(project: Pick<Project, 'dir' | 'env'>): Settings {
  const config = readNpmConfig(project);
  return {
    omit: omitted(config, project.env['NODE_ENV']),
    binLinks: config.flag('bin-links') !== false,
    legacyPeerDeps: config.flag('legacy-peer-deps') === true,
    installLinks: config.flag('install-links') === true,
    workspaces: config.list('workspace') ?? [],
    ignoreWorkspaces: config.flag('workspaces') === false,
    includeRoot: config.flag('include-workspace-root') === true,
    os: config.text('os'),
    cpu: config.text('cpu'),
    libc: config.text('libc'),
  };
}

/**
 * Like npm's `buildOmitList`, deprecated settings included. npm calls it for each source in turn, and each
 * starts from the result of the weaker ones. `NODE_ENV` only decides the default.
 */
function omitted(config: NpmConfig, nodeEnv: string | undefined): ReadonlySet<string> {
  let omit = new Set<string>(nodeEnv === 'production' ? ['dev'] : []);
  let include = new Set<string>();
  const old = { only: '', also: '', production: '', dev: '', optional: '' };
  for (const source of config.sources()) {
    omit = new Set(source.list('omit', KEY_SETTINGS.omit) ?? omit);
    include = new Set(source.list('include', KEY_SETTINGS.include) ?? include);
    for (const name of ['only', 'also'] as const) old[name] = source.text(name) ?? old[name];
    for (const name of ['production', 'dev', 'optional'] as const)
      old[name] = String(source.flag(name) ?? old[name]);
    if (/^prod(uction)?$/.test(old.only) || old.production === 'true') omit.add('dev');
    else if (old.production === 'false') include.add('dev');
    if (old.also.startsWith('dev') || old.dev === 'true') include.add('dev');
    if (old.optional === 'true') include.add('optional');
    if (old.optional === 'false') omit.add('optional');
    for (const type of include) omit.delete(type);
  }
  return omit;
}
