import { dirname } from 'node:path';
import { CacheError } from '../../errors.ts';
import type { Project } from '../support/recipe.ts';
import { runCommand } from '../support/run.ts';
import { which } from '../support/which.ts';
import { satisfies } from './gem-version.ts';

/** The properties of the Ruby on PATH that decide which gems it installs, and where. */
export interface RubyFacts {
  /** The engine and `Gem.extension_api_version`: `ruby3.1.0`, `ruby3.3.0-static`. */
  abi: string;
  /** `RUBY_VERSION`; empty where it could not be learnt, as below. */
  version: string;
  /** `RbConfig::CONFIG['arch']`: `x86_64-linux`, `x86_64-linux-gnu`, `arm64-darwin23`. */
  arch: string;
  /** `Gem::VERSION`. */
  rubygems: string;
}

/**
 * Worked out as RubyGems does (rubygems.rb) but without loading RubyGems: 6 ms in place of 30. The suffix
 * `-static` marks a Ruby whose extensions do not link against libruby. A preview has patchlevel -1: it is
 * older than the version that it names.
 */
const SCRIPT = [
  'c = RbConfig::CONFIG; print RUBY_ENGINE, c["ruby_version"], ("-static" if c["ENABLE_SHARED"] == "no")',
  'f = $:.map { |d| d + "/rubygems.rb" }.find { |p| File.file?(p) }',
  'g = f && File.read(f)[/^  VERSION = "([0-9.]+)"/, 1]',
  'print "\\n", (RUBY_VERSION if RUBY_PATCHLEVEL >= 0), "\\n", c["arch"], "\\n", g, "\\n"',
].join('; ');

/** Facts by the environment in which Ruby was found. A run asks twice: for the key, and when it verifies. */
const known = new WeakMap<Project['env'], RubyFacts>();

/** @throws CacheError RUNTIME_MISSING if there is no Ruby on PATH or it fails */
export async function rubyFacts(project: Project, signal: AbortSignal): Promise<RubyFacts> {
  const before = known.get(project.env);
  if (before !== undefined) return before;
  const { status, stdout, stderr } = await runCommand(
    { argv: ['ruby', '--disable=gems', '-rrbconfig', '-e', SCRIPT], env: { RUBYOPT: '', RUBYLIB: '' } },
    { project, output: 'capture', signal },
  );
  const [abi = '', version = '', arch = '', rubygems = ''] = stdout.split('\n');
  if (status !== 0 || !/^[a-z]+\d/.test(abi))
    throw new CacheError(
      'RUNTIME_MISSING',
      `ruby cannot tell its version: ${stderr.trim().split('\n').at(-1) || `status ${status}`}`,
      { hint: 'Check that `ruby -v` works in the project directory.' },
    );
  const facts = { abi, version, arch, rubygems };
  known.set(project.env, facts);
  return facts;
}

/** Whether `bundle` belongs to the `ruby` on PATH. Another Ruby would have other facts. */
export function isBundlersRuby(project: Project): boolean {
  const [ruby, bundle] = [which('ruby', project), which('bundle', project)];
  return ruby !== undefined && bundle !== undefined && dirname(ruby) === dirname(bundle);
}

/**
 * `Gem::Platform.local.to_s`, the name of the folder that extensions are in.
 * @returns undefined if it may depend on the version of RubyGems
 */
export function localPlatform({ arch, rubygems }: RubyFacts): string | undefined {
  const darwin = /^(arm64|x86_64)-darwin(\d+)$/.exec(arch);
  if (darwin !== null) return `${darwin[1]}-darwin-${darwin[2]}`;
  const [, cpu, libc] = /^(x86_64|aarch64)-linux(-gnu|-musl)?$/.exec(arch) ?? [];
  if (cpu === undefined) return undefined;
  if (libc !== '-gnu') return `${cpu}-linux${libc ?? ''}`;
  // RubyGems left `-gnu` out until 3.3.21 or so.
  if (satisfies(rubygems, ['<= 3.3.15']) === true) return `${cpu}-linux`;
  return satisfies(rubygems, ['>= 3.4']) === true ? `${cpu}-linux-gnu` : undefined;
}
