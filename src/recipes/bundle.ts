import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { CacheError } from '../errors.ts';
import { gemWithoutFiles, installations } from './bundle/installation.ts';
import { coversPlatform, gemPlatform } from './bundle/platforms.ts';
import type { Command, Project, Recipe } from './recipe.ts';
import { runCommand } from './run.ts';
import { platformOf } from './runtime.ts';
import { which } from './which.ts';

const TARGET = 'vendor/bundle';

/**
 * The engine and `Gem.extension_api_version`, worked out as RubyGems does (rubygems.rb) but without loading RubyGems: 6 ms
 * in place of 30. The suffix `-static` tells a Ruby whose extensions link against no libruby.
 */
const ABI_SCRIPT =
  'c = RbConfig::CONFIG; print RUBY_ENGINE, c["ruby_version"], ("-static" if c["ENABLE_SHARED"] == "no")';

/** Bundler: Gemfile.lock (or gems.locked) → vendor/bundle. */
export const bundleRecipe: Recipe = {
  name: 'bundle',
  label: 'Ruby gems',
  // Bundler's own order when both are there.
  lockfiles: ['Gemfile.lock', 'gems.locked'],
  keyVariables: ['BUNDLE_WITHOUT', 'BUNDLE_ONLY'],
  program: 'ruby',
  mainTarget: TARGET,
  marker: '.bundle/.installed',
  verifiesLockfile: true,

  async targets() {
    return [TARGET];
  },

  excludes() {
    // vendor/bundle/<engine>/<abi>/cache: the .gem files as downloaded, which an installed bundle never opens. The clones
    // of git sources beside them stay: `bundle install` builds upon them.
    return [`${TARGET}/*/*/cache/*.gem`];
  },

  async abi(project, signal) {
    const { status, stdout, stderr } = await runCommand(
      { argv: ['ruby', '--disable=gems', '-rrbconfig', '-e', ABI_SCRIPT], env: { RUBYOPT: '', RUBYLIB: '' } },
      { project, output: 'capture', signal },
    );
    if (status === 0 && /^[a-z]+\d/.test(stdout)) return stdout;
    throw new CacheError(
      'RUNTIME_MISSING',
      `ruby cannot tell its version: ${lastLine(stderr) || `status ${status}`}`,
      {
        hint: 'Check that `ruby -v` works in the project directory.',
      },
    );
  },

  witnesses({ dir }) {
    return installations(dir, TARGET).flatMap((path) => [`${path}/specifications`, `${path}/bundler/gems`]);
  },

  install(project) {
    // Frozen, as `npm ci` is: an install that rewrites the lockfile is saved under a key that no fresh clone asks for. Not
    // where Bundler would refuse because the lockfile lacks this platform: better a late start than none.
    const decided = ['BUNDLE_FROZEN', 'BUNDLE_DEPLOYMENT'].some((name) => name in project.env);
    const frozen = !decided && missingPlatform(project) === undefined;
    return bundler(project, ['install'], frozen ? { BUNDLE_FROZEN: 'true' } : {});
  },

  advice(project) {
    const platform = missingPlatform(project);
    if (platform === undefined) return undefined;
    return {
      message: `${project.lockfile} has no platform ${platform}: every install changes it, and its key with it`,
      hint: `Run \`bundle lock --add-platform ${platform}\` and commit ${project.lockfile}.`,
    };
  },

  async verify(project, signal) {
    const other = otherPath(project);
    if (other !== undefined) return { ok: false, reason: other, blame: 'machine' };
    const empty = gemWithoutFiles(project.dir, TARGET);
    if (empty !== undefined) return { ok: false, reason: `${empty} is missing`, blame: 'entry' };
    // Neither may write: a bundle that is frozen leaves its lockfile alone.
    const [check, run] = await Promise.all(
      [
        ['check', '--dry-run'],
        ['exec', 'ruby', '-e', 'exit 0'],
      ].map(async (args) => {
        const command = bundler(project, args, QUIET_AND_FROZEN);
        return runCommand(command, { project, output: 'capture', signal });
      }),
    );
    // With one status each says that gems are missing (`bundle exec` with that of Bundler::GemNotFound). All others are about
    // something else: another Ruby, a path source that is not there yet, the Gemfile.
    for (const [name, result, gemsMissing] of [
      ['bundle check', check, 1] as const,
      ['bundle exec ruby', run, 7] as const,
    ]) {
      if (result === undefined || result.status === 0) continue;
      return {
        ok: false,
        reason: `${name}: ${reasonFrom(`${result.stdout}\n${result.stderr}`, result.status)}`,
        blame: result.status === gemsMissing ? 'entry' : 'machine',
      };
    }
    return { ok: true };
  },
};

const QUIET_AND_FROZEN = { BUNDLE_FROZEN: 'true', BUNDLE_SILENCE_ROOT_WARNING: 'true' };

/** Bundler set to this lockfile and to the target, whatever the environment says. */
function bundler(project: Project, args: readonly string[], env: Record<string, string>): Command {
  const gemfile = project.lockfile.replace(/gems\.locked$/, 'gems.rb').replace(/\.lock$/, '');
  return {
    argv: ['bundle', ...args],
    env: {
      BUNDLE_GEMFILE: resolve(project.dir, gemfile),
      BUNDLE_PATH: resolve(project.dir, TARGET),
      ...env,
    },
  };
}

/** The platform that the lockfile lacks; undefined when it covers this one. */
function missingPlatform(project: Project): string | undefined {
  const platform = platformOf(which('ruby', project));
  let text;
  try {
    text = readFileSync(join(project.dir, project.lockfile), 'utf8');
  } catch {
    return undefined;
  }
  return coversPlatform(text, platform) ? undefined : gemPlatform(platform);
}

/**
 * The project's own .bundle/config beats the environment (Bundler::Settings#path), so a path set there sends gems
 * elsewhere. @returns what is wrong, with the fix.
 */
function otherPath({ dir, env }: Project): string | undefined {
  if ('BUNDLE_IGNORE_CONFIG' in env) return undefined;
  const config = join(env['BUNDLE_APP_CONFIG'] ?? '.bundle', 'config');
  let text;
  try {
    text = readFileSync(resolve(dir, config), 'utf8');
  } catch {
    return undefined;
  }
  const path = /^BUNDLE_PATH: *["']?(.*?)["']? *$/m.exec(text)?.[1];
  if (path !== undefined && resolve(dir, path) !== resolve(dir, TARGET)) {
    return `${config} sets BUNDLE_PATH to ${path}, not ${TARGET}: run \`bundle config unset --local path\``;
  }
  if (path === undefined && /^BUNDLE_PATH__SYSTEM: *["']?true/m.test(text)) {
    return `${config} sends gems to the system: run \`bundle config unset --local path.system\``;
  }
  return undefined;
}

/** `The following gems are missing * rack (3.0.0) …`: what Bundler said, in one line. */
function reasonFrom(output: string, status: number): string {
  const lines = output
    .split('\n')
    .map((line) => line.trim().replace(/^\/\S+:\d+:in [`'][^']*': /, ''))
    .filter((line) => line !== '' && !/^(from |Install missing gems)/.test(line));
  const text = lines.join(' ').replace(/\s+/g, ' ');
  if (text === '') return `status ${status}`;
  return text.length > 300 ? `${text.slice(0, 299)}…` : text;
}

function lastLine(text: string): string {
  return text.trim().split('\n').at(-1) ?? '';
}
