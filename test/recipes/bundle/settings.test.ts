import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundleRecipe } from '../../../src/recipes/bundle/recipe.ts';
import { readBundlerSettings } from '../../../src/recipes/bundle/settings.ts';
import { keyVariables } from '../../../src/recipes/support/lockfile.ts';
import type { Recipe } from '../../../src/recipes/support/recipe.ts';

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-settings-'))));
afterEach(() => rmSync(dir, { recursive: true }));

type Env = Record<string, string>;

const at = (env: Env = {}): Recipe => bundleRecipe.at!({ dir, env: environment(env) });
const environment = (env: Env): Env => ({ HOME: join(dir, 'home'), ...env });

function elsewhere(env: Env = {}): string | undefined {
  const project = { dir, lockfile: 'Gemfile.lock', env: environment(env) };
  return at(env).lookElsewhere!(project)?.reason;
}

function write(files: Record<string, string>): void {
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
}

describe('the lockfile', () => {
  it.each([
    ['Gemfile’s', ['Gemfile'], {}, 'Gemfile.lock'],
    ['that of gems.rb, which Bundler takes first', ['Gemfile', 'Gemfile.lock', 'gems.rb'], {}, 'gems.locked'],
    ['that of the Gemfile in use, whatever else lies about', ['Gemfile', 'gems.locked'], {}, 'Gemfile.lock'],
    [
      'what BUNDLE_GEMFILE names',
      ['Gemfile'],
      { BUNDLE_GEMFILE: 'gemfiles/a.gemfile' },
      'gemfiles/a.gemfile.lock',
    ],
    ['what BUNDLE_LOCKFILE names', ['Gemfile'], { BUNDLE_LOCKFILE: 'next.lock' }, 'next.lock'],
    ['also outside the project', ['Gemfile'], { BUNDLE_GEMFILE: '../gems.rb' }, '../gems.locked'],
  ])('is %s', (_, files, env, lockfile) => {
    write(Object.fromEntries(files.map((name) => [name, ''])));
    expect(at(env as Env).lockfiles).toEqual([lockfile]);
  });

  it('is any there is without a Gemfile: a Docker layer may bring that alone', () => {
    expect(at().lockfiles).toEqual(['Gemfile.lock', 'gems.locked']);
  });

  it('is what the configuration of the project names', () => {
    write({ Gemfile: '', '.bundle/config': '---\nBUNDLE_GEMFILE: "next/Gemfile"\n' });
    expect(at().lockfiles).toEqual(['next/Gemfile.lock']);
  });
});

describe('the target', () => {
  it.each([
    ['vendor/bundle', { BUNDLE_PATH: 'vendor/bundle' }, 'vendor/bundle'],
    ['another folder of the project', { BUNDLE_PATH: './gems-here/' }, 'gems-here'],
    ['relative to the Gemfile', { BUNDLE_PATH: 'v', BUNDLE_GEMFILE: 'gemfiles/a.gemfile' }, 'gemfiles/v'],
    ['vendor/bundle in a deployment', { BUNDLE_DEPLOYMENT: 'true' }, 'vendor/bundle'],
  ])('is %s', (_, env, target) => {
    expect(at(env as Env).mainTarget).toBe(target);
    expect(elsewhere(env as Env)).toBeUndefined();
  });

  it('counts in the key where it is not vendor/bundle: an archive’s paths begin with it', () => {
    expect(keyVariables(at({ BUNDLE_PATH: join(dir, 'vendor/bundle') }), {})).toEqual({});
    expect(keyVariables(at({ BUNDLE_PATH: join(dir, 'gems') }), {})).toEqual({ BUNDLE_PATH: 'gems' });
  });

  it.each([
    [
      'nothing is set',
      {},
      /^Bundler looks for gems in RubyGems' own folder \(BUNDLE_PATH is not set\), not in vendor\/bundle; `export BUNDLE_PATH=vendor\/bundle` sends it there$/,
    ],
    [
      'the official image',
      { GEM_HOME: '/usr/local/bundle', BUNDLE_APP_CONFIG: '/nowhere' },
      /in \/usr\/local\/bundle \(BUNDLE_PATH is not set\)/,
    ],
    [
      'a folder outside',
      { BUNDLE_PATH: '/usr/local/bundle' },
      /in \/usr\/local\/bundle \(BUNDLE_PATH in the environment\)/,
    ],
    ['the project itself', { BUNDLE_PATH: '.' }, /in \. /],
    ['Bundler’s own configuration', { BUNDLE_PATH: '.bundle' }, /in \.bundle /],
    [
      'system gems',
      { BUNDLE_PATH: 'vendor/bundle', BUNDLE_PATH__SYSTEM: 'true' },
      /own folder \(path\.system in the environment\)/,
    ],
    ['a home', { BUNDLE_PATH: '~/gems', HOME: '/nowhere' }, /in ~\/gems /],
    [
      'an appraisal without a path of its own',
      { BUNDLE_GEMFILE: 'gemfiles/a.gemfile' },
      /`export BUNDLE_PATH=\/\S+\/vendor\/bundle` sends it/,
    ],
  ])('is vendor/bundle, which Bundler does not look into, with %s', (_, env, reason) => {
    expect(at(env as Env).mainTarget).toBe('vendor/bundle');
    expect(elsewhere(env as Env)).toMatch(reason);
  });

  it('is found through the links that $PWD goes through', () => {
    mkdirSync(join(dir, 'real'));
    symlinkSync('real', join(dir, 'link'));
    const place = { dir: join(dir, 'real'), env: environment({ BUNDLE_PATH: join(dir, 'link/gems') }) };
    expect(bundleRecipe.at!(place).mainTarget).toBe('gems');
    expect(bundleRecipe.at!(place).lookElsewhere!({ ...place, lockfile: '' })).toBeUndefined();
  });

  it('is never a folder that holds more than gems: a restore replaces it whole', () => {
    write({ 'vendor/ruby/3.1.0/x': '', 'vendor/assets/app.js': '' });
    expect(at({ BUNDLE_PATH: 'vendor' }).mainTarget).toBe('vendor/bundle');
    write({ 'gems/ruby/3.1.0/x': '', 'gems/.installed': '' });
    expect(at({ BUNDLE_PATH: 'gems' }).mainTarget).toBe('gems');
  });
});

describe('the order of the sources', () => {
  const path = (env: Env = {}): string | undefined =>
    readBundlerSettings({ dir, env: environment(env) }).path?.text;

  it('is project, environment, user', () => {
    write({ 'home/.bundle/config': 'BUNDLE_PATH: user\n' });
    expect(path()).toBe('user');
    expect(path({ BUNDLE_PATH: 'environment' })).toBe('environment');
    write({ '.bundle/config': '---\nBUNDLE_JOBS: "4"\nBUNDLE_PATH: "project"\n' });
    expect(path({ BUNDLE_PATH: 'environment' })).toBe('project');
    expect(path({ BUNDLE_PATH: 'environment', BUNDLE_IGNORE_CONFIG: '1' })).toBe('environment');
    expect(path({ BUNDLE_APP_CONFIG: 'other', BUNDLE_PATH: 'environment' })).toBe('environment');
  });

  it('names the one that decides', () => {
    write({ '.bundle/config': 'BUNDLE_PATH__SYSTEM: "true"\n' });
    expect(elsewhere({ BUNDLE_PATH: 'vendor/bundle' })).toMatch(
      /path\.system in \.bundle\/config\).*`bundle config unset --local path\.system && bundle config set --local path vendor\/bundle`/,
    );
  });
});

describe('variables of the key', () => {
  it('are all that change the tree, and only what is set', () => {
    const env = {
      BUNDLE_WITHOUT: 'test',
      BUNDLE_WITH: 'mysql',
      BUNDLE_FORCE_RUBY_PLATFORM: 'true',
      BUNDLE_BUILD__NOKOGIRI: '--use-system-libraries',
      BUNDLE_JOBS: '4',
    };
    const { BUNDLE_JOBS: _, ...counted } = env;
    expect(keyVariables(bundleRecipe, env)).toEqual(counted);
  });
});
