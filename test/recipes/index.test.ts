import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundleRecipe } from '../../src/recipes/bundle/recipe.ts';
import { chooseRecipes } from '../../src/recipes/index.ts';
import { findLockfile, hashFile, keyVariables, readLockfiles } from '../../src/recipes/support/lockfile.ts';
import { npmRecipe } from '../../src/recipes/npm/recipe.ts';

let projectDir: string;
beforeEach(() => void (projectDir = mkdtempSync(join(tmpdir(), 'sandbox-cache-recipes-'))));
afterEach(() => rmSync(projectDir, { recursive: true }));

const write = (name: string, text = ''): void => writeFileSync(join(projectDir, name), text);
const chosen = (...names: string[]): string[] =>
  chooseRecipes({ projectDir, environment: () => ({}), names }).map(({ name }) => name);

describe('chooseRecipes', () => {
  it('finds every recipe whose lockfile is there', () => {
    expect(chosen()).toEqual([]);
    write('npm-shrinkwrap.json');
    expect(chosen()).toEqual(['npm']);
    write('gems.locked');
    expect(chosen()).toEqual(['bundle', 'npm']);
  });

  it('takes the named ones, in their order and once, with or without a lockfile', () => {
    expect(chosen('npm', 'bundle', 'npm')).toEqual(['npm', 'bundle']);
  });

  it.each([
    ['bundel', 'Did you mean bundle?'],
    ['bundler', 'Did you mean bundle?'],
    ['NPM', 'Did you mean npm?'],
    ['node', 'Did you mean npm?'],
    ['poetry', 'Known are bundle, npm.'],
  ])('does not know %s', (name, hint) => {
    expect(() => chosen(name)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: `There is no recipe "${name}"`,
        hint: `${hint} For anything else add --lockfile <file> --path <dir>`,
      }) as Error,
    );
  });

  it('adds the recipes of the project’s own file, which may replace a built-in one', () => {
    write('requirements.txt');
    write('yarn.lock');
    write('package-lock.json');
    const pip = { lockfiles: ['requirements.txt'], paths: ['venv'] };
    write('.sandbox-cache.json', JSON.stringify({ recipes: { pip } }));
    expect(chosen()).toEqual(['npm', 'pip']);
    const yarn = { lockfiles: ['yarn.lock'], paths: ['node_modules'] };
    write('.sandbox-cache.json', JSON.stringify({ recipes: { npm: yarn } }));
    const [npm] = chooseRecipes({ projectDir, environment: () => ({}), names: ['npm'] });
    expect(npm?.lockfiles).toEqual(['yarn.lock']);
  });
});

describe('lockfiles', () => {
  it('are looked for in order, and have to be files', () => {
    expect(findLockfile(projectDir, bundleRecipe)).toBeUndefined();
    write('package-lock.json', 'a');
    expect(findLockfile(projectDir, npmRecipe)).toBe('package-lock.json');
    write('npm-shrinkwrap.json', 'b');
    expect(findLockfile(projectDir, npmRecipe)).toBe('npm-shrinkwrap.json');
    expect(findLockfile(projectDir, { lockfiles: ['.'] })).toBeUndefined();
  });

  it('are hashed by their bytes', () => {
    write('package-lock.json', 'abc');
    const sha256 = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad';
    expect(readLockfiles(projectDir, npmRecipe)).toEqual([{ path: 'package-lock.json', sha256 }]);
  });

  it('that cannot be read are a clear failure', () => {
    expect(() => hashFile(join(projectDir, 'none'))).toThrow(
      expect.objectContaining({
        code: 'SOURCE_UNREADABLE',
        message: expect.stringContaining('none cannot be read (ENOENT)') as string,
      }) as Error,
    );
  });
});

describe('keyVariables', () => {
  it('takes what is set and changes what is installed', () => {
    expect(keyVariables(bundleRecipe, { BUNDLE_WITHOUT: 'test', BUNDLE_ONLY: '', PATH: 'x' })).toEqual({
      BUNDLE_WITHOUT: 'test',
    });
    expect(keyVariables(npmRecipe, { NODE_ENV: 'production' })).toEqual({ NODE_ENV: 'production' });
    expect(keyVariables(npmRecipe, { NODE_ENV: 'development' })).toEqual({});
  });
});
