/**
 * Where Bundler looks for its Gemfile and for gems. We read its settings ourselves, because starting it to
 * ask would take 0.3 s on every start. As in Bundler's own settings.rb, the project's `.bundle/config` beats
 * the environment, and the environment beats the user's `~/.bundle/config`.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { systemCode } from '../../errors.ts';
import { homeOf } from '../../files/home.ts';
import { readSmallText } from '../../files/read-small-file.ts';
import type { Project } from '../support/recipe.ts';

export type BareProject = Pick<Project, 'dir' | 'env'>;

export interface BundlerSettings {
  /** Absolute path of the Gemfile; undefined where the project has none. */
  gemfile: string | undefined;
  /** Absolute path of its lockfile. */
  lockfile: string | undefined;
  /** The Gemfile's folder, to which paths are relative. */
  root: string;
  /** Where gems are installed. Undefined if no setting says so; Bundler then uses RubyGems' own folder. */
  path: GemPath | undefined;
  /** The value that counts, e.g. of `BUNDLE_WITHOUT`. */
  value(name: string): string | undefined;
  /**
   * All names that are set anywhere. Undefined if a configuration file holds more than lines of one value.
   */
  names: readonly string[] | undefined;
}

export interface GemPath {
  /** As it is set; undefined for RubyGems' own folder, asked for by `path.system`. */
  text: string | undefined;
  /** Absolute; undefined as above. */
  dir: string | undefined;
  /** The file or variable that says so, as people know it. */
  source: string;
  /** Whether it comes from the project's own configuration, which beats the environment. */
  isLocal: boolean;
}

/** One source of settings. */
interface Level {
  source: string;
  isLocal: boolean;
  values: Readonly<Record<string, string>>;
  /** Whether it holds only lines of one value. */
  isPlain: boolean;
}

/** Bundler's own order when a project has both. */
const GEMFILES = ['gems.rb', 'Gemfile'];

/** Bundler's configuration files have some ten lines. */
const MAX_CONFIG_BYTES = 64 * 1024;

export function readBundlerSettings(project: BareProject): BundlerSettings {
  const { dir, env } = project;
  const given = env['BUNDLE_GEMFILE'] ?? GEMFILES.find((name) => existsSync(join(dir, name)));
  const here = levelsOf(project, given === undefined ? dir : dirname(resolve(dir, given)));
  const name = valueIn(here, 'BUNDLE_GEMFILE') ?? given;
  const gemfile = name === undefined ? undefined : resolve(dir, name);
  const root = gemfile === undefined ? dir : dirname(gemfile);
  const levels = levelsOf(project, root);
  // Bundler 4 and later.
  const lockfile = env['BUNDLE_LOCKFILE'];
  return {
    gemfile,
    lockfile: lockfile === undefined ? gemfile && lockfileOf(gemfile) : resolve(dir, lockfile),
    root,
    path: gemPath(levels, { root, home: homeOf(env) }),
    value: (name) => valueIn(levels, name),
    names: levels.every(({ isPlain }) => isPlain)
      ? levels.flatMap(({ values }) => Object.keys(values).filter((key) => key.startsWith('BUNDLE_')))
      : undefined,
  };
}

function lockfileOf(gemfile: string): string {
  return basename(gemfile) === 'gems.rb' ? gemfile.replace(/rb$/, 'locked') : `${gemfile}.lock`;
}

/**
 * All sources, the strongest first.
 * @param root the folder of the Gemfile, to which Bundler's paths are relative
 */
function levelsOf({ env }: BareProject, root: string): Level[] {
  const environment: Level = { source: 'the environment', isLocal: false, values: env, isPlain: true };
  if ('BUNDLE_IGNORE_CONFIG' in env) return [environment];
  const local = join(env['BUNDLE_APP_CONFIG'] ?? '.bundle', 'config');
  return [
    { source: local, isLocal: true, ...readConfig(resolve(root, local)) },
    environment,
    { source: 'the configuration of this user', isLocal: false, ...readConfig(userConfig(env)) },
  ];
}

function userConfig(env: Project['env']): string {
  const folder = env['BUNDLE_USER_HOME'] ?? join(homeOf(env), '.bundle');
  return env['BUNDLE_CONFIG'] ?? env['BUNDLE_USER_CONFIG'] ?? join(folder, 'config');
}

/** Reads lines such as `BUNDLE_PATH: "vendor/bundle"`. The file may not be there. */
function readConfig(path: string): Pick<Level, 'values' | 'isPlain'> {
  let text;
  try {
    text = readSmallText(path, { maxBytes: MAX_CONFIG_BYTES });
  } catch (error) {
    return { values: {}, isPlain: systemCode(error) === 'ENOENT' };
  }
  const pattern = /^(BUNDLE_[^:\s]+): *(["']?)(.*?)\2 *\r?$/gm;
  const values = Object.fromEntries(
    [...text.matchAll(pattern)].map(([, name = '', , value = '']) => [name, value]),
  );
  const isPlain = /^(?:---)?\s*$/.test(text.replace(pattern, '')) && !/: *(?:[|>&*!?%@`{[].*)?$/m.test(text);
  return { values, isPlain };
}

function valueIn(levels: readonly Level[], name: string): string | undefined {
  return levels.map(({ values }) => values[name]).find((value) => value !== undefined);
}

/** Like `Bundler::Settings#path`: the strongest source that mentions the path decides alone. */
function gemPath(
  levels: readonly Level[],
  { root, home }: { root: string; home: string },
): GemPath | undefined {
  for (const { source, isLocal, values } of levels) {
    const deployed = isTrue(values['BUNDLE_DEPLOYMENT']) ? 'vendor/bundle' : undefined;
    const text = values['BUNDLE_PATH'] ?? deployed;
    const system = values['BUNDLE_PATH__SYSTEM'];
    const isShared = values['BUNDLE_DISABLE_SHARED_GEMS'];
    if (text === undefined && system === undefined && isShared === undefined) continue;
    const isSystem = isTrue(system) || (isShared !== undefined && !isTrue(isShared));
    if (isSystem) return { text: undefined, dir: undefined, source, isLocal };
    if (text === undefined) return undefined;
    return { text, dir: resolve(root, text.replace(/^~(?=\/|$)/, home)), source, isLocal };
  }
  return undefined;
}

/** As `Bundler::Settings#to_bool`. */
function isTrue(value: string | undefined): boolean {
  return value !== undefined && !/^(?:false|f|no|n|0|)$/i.test(value.trim());
}
