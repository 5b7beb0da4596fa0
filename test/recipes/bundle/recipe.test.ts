import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  utimesSync,
} from 'node:fs';
import { cp, mkdir, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bundleRecipe } from '../../../src/recipes/bundle/recipe.ts';
import type { Project } from '../../../src/recipes/support/recipe.ts';
import { runCommand } from '../../../src/recipes/support/run.ts';
import { runtimeOf } from '../../../src/recipes/support/runtime.ts';

const hasRuby = spawnSync('bundle', ['--version']).status === 0;
const signal = new AbortController().signal;

let home: string;
let installed: Project;
let copies = 0;

beforeAll(async () => {
  home = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-bundle-')));
  if (!hasRuby) return;
  await gemSource(join(home, 'source'));
  installed = await project('installed');
  await bundle(installed, 'lock');
  const result = await install(installed);
  expect(result.status, result.stderr).toBe(0);
});

afterAll(() => rmSync(home, { recursive: true, force: true }));

function environment(): Record<string, string> {
  return { PATH: process.env['PATH'] ?? '', HOME: home, BUNDLE_SILENCE_ROOT_WARNING: 'true' };
}

/** A gem source as a folder: rubygems.org is not needed. */
async function gemSource(dir: string): Promise<void> {
  await mkdir(join(dir, 'gems'), { recursive: true });
  for (const name of ['alpha', 'beta']) {
    const gem = join(home, `gem-${name}`);
    await mkdir(join(gem, 'lib'), { recursive: true });
    await writeFile(join(gem, `lib/${name}.rb`), '');
    const fields = `s.name = '${name}'; s.version = '1.0.0'; s.summary = 's'; s.authors = ['a']; s.files = ['lib/${name}.rb']`;
    await writeFile(join(gem, 'x.gemspec'), `Gem::Specification.new { |s| ${fields} }`);
    execFileSync('gem', ['build', '-q', 'x.gemspec', '-o', join(dir, `gems/${name}-1.0.0.gem`)], {
      cwd: gem,
      stdio: 'ignore',
    });
  }
  execFileSync('gem', ['generate_index', '-q', '-d', dir], { stdio: 'ignore' });
}

async function project(name: string): Promise<Project> {
  const dir = join(home, name);
  await mkdir(dir);
  const gemfile = `source 'file://${join(home, 'source')}'\ngem 'alpha'\ngem 'beta', group: :test\n`;
  await writeFile(join(dir, 'Gemfile'), gemfile);
  return { dir, lockfile: 'Gemfile.lock', env: environment() };
}

async function bundle({ dir, env }: Project, ...args: string[]): Promise<void> {
  execFileSync('bundle', args, { cwd: dir, env, stdio: 'ignore' });
}

function install(into: Project): ReturnType<typeof runCommand> {
  return runCommand(bundleRecipe.install(into)!, { project: into, output: 'capture', signal });
}

async function copy(): Promise<Project> {
  const dir = join(home, `copy-${copies++}`);
  await cp(installed.dir, dir, { recursive: true, preserveTimestamps: true });
  return { ...installed, dir };
}

async function verify(checked: Project): Promise<string> {
  const result = await bundleRecipe.verify(checked, signal);
  return result.ok ? 'ok' : result.reason;
}

function gemsFolder({ dir }: Project, kind: string): string {
  const path = bundleRecipe.witnesses({ dir }, []).find((witness) => witness.endsWith('/specifications'))!;
  return join(dir, dirname(path), kind);
}

/** A `ruby` that notes its start and prints what it is told to. */
async function fakeRuby(prints: string): Promise<{ path: string; starts: () => number }> {
  const folder = join(home, `ruby-${copies++}`);
  await mkdir(folder);
  await writeFile(join(folder, 'ruby'), `#!/bin/sh\necho x >> ${folder}/starts\n${prints}\n`);
  chmodSync(join(folder, 'ruby'), 0o755);
  return { path: folder, starts: () => readFileSync(join(folder, 'starts'), 'utf8').length / 2 };
}

describe.skipIf(!hasRuby)('with the Ruby on PATH', () => {
  it('names the ABI as RubyGems does', async () => {
    const version = execFileSync('ruby', ['-e', 'print RUBY_ENGINE, Gem.extension_api_version'], {
      encoding: 'utf8',
    });
    expect(await bundleRecipe.abi(installed, signal)).toBe(version);
    expect(await runtimeOf(bundleRecipe, installed, signal)).toMatch(
      new RegExp(`^${process.platform}-${process.arch}(-musl)?-${version}$`),
    );
  });

  it('is not misled by RUBYOPT', async () => {
    const plain = await bundleRecipe.abi(installed, signal);
    expect(
      await bundleRecipe.abi({ ...installed, env: { ...installed.env, RUBYOPT: '-rnowhere' } }, signal),
    ).toBe(plain);
  });

  it('installs into vendor/bundle and leaves the lockfile alone', async () => {
    expect(readdirSync(gemsFolder(installed, 'gems'))).toEqual(['alpha-1.0.0', 'beta-1.0.0']);
    expect(await verify(installed)).toBe('ok');
  });

  it('refuses to install what the lockfile does not say, unless told otherwise', async () => {
    const changed = await copy();
    await writeFile(join(changed.dir, 'Gemfile'), `source 'file://${join(home, 'source')}'\ngem 'alpha'\n`);
    const before = readFileSync(join(changed.dir, 'Gemfile.lock'), 'utf8');
    expect((await install(changed)).status).not.toBe(0);
    expect(readFileSync(join(changed.dir, 'Gemfile.lock'), 'utf8')).toBe(before);
    expect((await install({ ...changed, env: { ...changed.env, BUNDLE_FROZEN: 'false' } })).status).toBe(0);
  });

  it('installs from a lockfile of another platform, and says what that costs', async () => {
    const mac = await project('mac');
    const ours = readFileSync(join(installed.dir, 'Gemfile.lock'), 'utf8');
    await writeFile(join(mac.dir, 'Gemfile.lock'), ours.replace(/^(PLATFORMS\n  ).*/m, '$1sparc-solaris'));
    expect(bundleRecipe.advice?.(mac)).toMatchObject({
      message: expect.stringMatching(/^Gemfile\.lock has no platform \S+: every install changes it/),
      hint: expect.stringMatching(/bundle lock --add-platform/),
    });
    expect((await install(mac)).status).toBe(0);
    expect(bundleRecipe.advice?.(mac)).toBeUndefined();
    expect(await verify(mac)).toBe('ok');
  });

  it('verifies without changing the target or the lockfile', async () => {
    const checked = await copy();
    const old = new Date('2020-01-01');
    const paths = [
      checked.dir,
      ...readdirSync(checked.dir, { recursive: true, encoding: 'utf8' }).map((path) =>
        join(checked.dir, path),
      ),
    ];
    for (const path of paths) utimesSync(path, old, old);
    expect(await verify(checked)).toBe('ok');
    expect(readdirSync(checked.dir, { recursive: true })).toHaveLength(paths.length - 1);
    for (const path of paths) expect(lstatSync(path).mtime, path).toEqual(old);
  });

  it('leaves a lockfile alone that Bundler would put right', async () => {
    const checked = await copy();
    const before = readFileSync(join(checked.dir, 'Gemfile.lock'), 'utf8');
    await writeFile(join(checked.dir, 'Gemfile'), `source 'file://${join(home, 'source')}'\ngem 'alpha'\n`);
    expect(await verify(checked)).toMatch(/^bundle exec ruby: /);
    expect(readFileSync(join(checked.dir, 'Gemfile.lock'), 'utf8')).toBe(before);
  });

  it('notices a missing gem, by name', async () => {
    const broken = await copy();
    await rm(join(gemsFolder(broken, 'specifications'), 'beta-1.0.0.gemspec'));
    expect(await verify(broken)).toBe('bundle check: The following gems are missing * beta (1.0.0)');
  });

  it('blames the entry for gems that are not there, and nothing else', async () => {
    const blameOf = async (checked: Project): Promise<string> => {
      const verdict = await bundleRecipe.verify(checked, signal);
      return verdict.ok ? 'nobody' : verdict.blame;
    };
    const broken = await copy();
    await rm(join(gemsFolder(broken, 'specifications'), 'beta-1.0.0.gemspec'));
    expect(await blameOf(broken)).toBe('entry');

    const gemfile = readFileSync(join(installed.dir, 'Gemfile'), 'utf8');
    const otherRuby = await copy();
    await writeFile(join(otherRuby.dir, 'Gemfile'), `${gemfile}ruby '99.0.0'\n`);
    expect(await blameOf(otherRuby)).toBe('machine');
    // As in a Docker layer that has only the manifests so far.
    const withoutSources = await copy();
    await writeFile(join(withoutSources.dir, 'Gemfile'), `${gemfile}gem 'local', path: 'engines/local'\n`);
    const lockfile = readFileSync(join(installed.dir, 'Gemfile.lock'), 'utf8');
    const source = 'PATH\n  remote: engines/local\n  specs:\n    local (1.0.0)\n\n';
    const lock = `${source}${lockfile}`.replace(/^( {2}beta)$/m, '$1\n  local!');
    await writeFile(join(withoutSources.dir, 'Gemfile.lock'), lock);
    expect(await blameOf(withoutSources)).toBe('machine');
  });

  it('notices a gem without files, which Bundler does not', async () => {
    const broken = await copy();
    await rm(join(gemsFolder(broken, 'gems'), 'alpha-1.0.0'), { recursive: true });
    expect(await verify(broken)).toMatch(/^vendor\/bundle\/\w+\/[\d.]+\/gems\/alpha-1\.0\.0 is missing$/);
  });

  it('notices a missing tree', async () => {
    const broken = await copy();
    await rm(join(broken.dir, 'vendor'), { recursive: true });
    expect(await verify(broken)).toMatch(/^bundle check: .*alpha/);
  });

  it('cannot look at the target where the project’s own settings send gems elsewhere: they beat the environment', async () => {
    const elsewhere = await copy();
    await bundle(elsewhere, 'config', 'set', '--local', 'path', '/somewhere');
    expect(await bundleRecipe.verify(elsewhere, signal)).toEqual({
      ok: false,
      blame: 'machine',
      reason:
        'Bundler looks for gems in /somewhere (BUNDLE_PATH in .bundle/config), not in vendor/bundle; `bundle config set --local path vendor/bundle` sends it there',
    });
    await bundle(elsewhere, 'config', 'set', '--local', 'path', './vendor/bundle');
    expect(await verify(elsewhere)).toBe('ok');
  });

  it('looks at the target also where the environment sends gems elsewhere', async () => {
    expect(await verify({ ...installed, env: { ...installed.env, BUNDLE_PATH: '/nowhere' } })).toBe('ok');
  });

  it('takes a group for left out whose gems are nowhere, and a gem with remains for damaged', async () => {
    const without = await copy();
    await rm(join(gemsFolder(without, 'specifications'), 'beta-1.0.0.gemspec'));
    await rm(join(gemsFolder(without, 'gems'), 'beta-1.0.0'), { recursive: true });
    expect(await bundleRecipe.verify(without, signal)).toMatchObject({ ok: false, blame: 'settings' });
    expect(bundleRecipe.leftOut?.(without)).toBe('');
    await bundle(without, 'config', 'set', '--local', 'without', 'test');
    expect(bundleRecipe.leftOut?.(without)).toBe('test');
    expect(await verify(without)).toBe('ok');
  });

  it('notices compiled files that are gone from everywhere, and only those', async () => {
    const broken = await copy();
    const extension = join(gemsFolder(broken, 'extensions'), 'x86_64-linux/3.1.0/alpha-1.0.0');
    const log = (name: string): string => `/usr/bin/install -c -m 0755 ${name} ./.gem.20260101-1-a/alpha\n`;
    await mkdir(join(extension, 'alpha'), { recursive: true });
    await writeFile(join(extension, 'gem_make.out'), `compiling a.c\n${log('one.so')}${log('two.so')}`);
    await writeFile(join(extension, 'alpha/one.so'), '');
    expect(await verify(broken)).toMatch(/^two\.so of vendor\/bundle\/.+\/alpha-1\.0\.0 is missing$/);
    await writeFile(join(gemsFolder(broken, 'gems'), 'alpha-1.0.0/lib/two.so'), '');
    expect(await verify(broken)).toBe('ok');
    await writeFile(join(extension, 'gem_make.out'), 'checking for a program... yes\n');
    await rm(join(extension, 'alpha'), { recursive: true });
    expect(await verify(broken)).toBe('ok');
  });

  it('takes gems.rb and gems.locked', async () => {
    const renamed = await copy();
    await rename(join(renamed.dir, 'Gemfile'), join(renamed.dir, 'gems.rb'));
    await rename(join(renamed.dir, 'Gemfile.lock'), join(renamed.dir, 'gems.locked'));
    expect(await verify({ ...renamed, lockfile: 'gems.locked' })).toBe('ok');
  });
});

describe('with other Rubies', () => {
  it.each(['jruby3.1.0', 'truffleruby3.2.2.17', 'ruby3.3.0-static'])('takes %s', async (abi) => {
    const ruby = await fakeRuby(`printf ${abi}`);
    const env = { PATH: `${ruby.path}:/usr/bin:/bin` };
    expect(await bundleRecipe.abi({ dir: home, lockfile: 'Gemfile.lock', env }, signal)).toBe(abi);
    expect(ruby.starts()).toBe(1);
  });

  it('says why a Ruby cannot be asked', async () => {
    const ruby = await fakeRuby('echo "libruby.so.3.1: cannot open" >&2; exit 127');
    const env = { PATH: `${ruby.path}:/usr/bin:/bin` };
    await expect(
      bundleRecipe.abi({ dir: home, lockfile: 'Gemfile.lock', env }, signal),
    ).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
      message: 'ruby cannot tell its version: libruby.so.3.1: cannot open',
    });
  });

  it('says where it looked for Ruby', async () => {
    await expect(
      bundleRecipe.abi({ dir: home, lockfile: 'Gemfile.lock', env: { PATH: home } }, signal),
    ).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
      message: `There is no program ruby; PATH is ${home}`,
    });
  });
});

describe('what is stored', () => {
  it('is vendor/bundle without the gems as downloaded, whatever the engine', async () => {
    expect(await bundleRecipe.targets({ dir: home, lockfile: 'Gemfile.lock', env: {} })).toEqual([
      'vendor/bundle',
    ]);
    expect(bundleRecipe.excludes(['vendor/bundle'])).toEqual(['vendor/bundle/*/*/cache/*.gem']);
  });
});
