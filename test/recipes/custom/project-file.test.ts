import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { builtInRecipes } from '../../../src/recipes/index.ts';
import { keyVariables } from '../../../src/recipes/support/lockfile.ts';
import { readProjectRecipes } from '../../../src/recipes/custom/project-file.ts';

const signal = new AbortController().signal;

let dir: string;
beforeEach(() => void (dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-file-'))));
afterEach(() => rmSync(dir, { recursive: true }));

const write = (content: unknown): void =>
  writeFileSync(
    join(dir, '.sandbox-cache.json'),
    typeof content === 'string' ? content : JSON.stringify(content),
  );
const pip = { lockfiles: ['requirements.txt'], paths: ['venv'] };

describe('readProjectRecipes', () => {
  it('finds none where there is no file, or none in it', () => {
    expect(readProjectRecipes(dir, builtInRecipes)).toEqual([]);
    write({});
    expect(readProjectRecipes(dir, builtInRecipes)).toEqual([]);
  });

  it('makes a recipe of each', async () => {
    write({
      recipes: {
        pip: {
          ...pip,
          variables: ['PIP_EXTRA'],
          install: 'pip install -r requirements.txt',
          runtime: ['echo', '3.12'],
        },
        go: { lockfiles: ['go.sum'], paths: ['.cache/go'] },
      },
    });
    const [first, second] = readProjectRecipes(dir, builtInRecipes);
    const project = { dir, lockfile: 'requirements.txt', env: { PATH: process.env['PATH'] ?? '' } };
    expect(first).toMatchObject({ name: 'pip', lockfiles: ['requirements.txt'], marker: 'venv/.installed' });
    expect(first!.install(project)?.argv).toEqual(['sh', '-c', 'pip install -r requirements.txt']);
    expect(keyVariables(first!, { PIP_EXTRA: 'x' })).toEqual({ PIP_EXTRA: 'x' });
    expect(await first!.abi(project, signal)).toBe('3.12');
    expect(await second!.targets(project)).toEqual(['.cache/go']);
  });

  it.each([
    ['{', /^\.sandbox-cache\.json is no JSON( at position 1.*)?$/],
    ['[default]\naws_secret_access_key = canary', /^\.sandbox-cache\.json is no JSON( at position 1.*)?$/],
    [[], /^\.sandbox-cache\.json is no JSON object$/],
    [{ recipes: [] }, /has recipes, which is no object$/],
    [{ recipes: { pip: 'x' } }, /has recipes\.pip, which is no object$/],
    [
      { recipes: { pip: { ...pip, path: ['x'] } } },
      /has recipes\.pip\.path, but a recipe takes lockfiles, paths, /,
    ],
    [
      { recipes: { pip: { ...pip, paths: 'venv' } } },
      /has recipes\.pip\.paths, which is no list of strings$/,
    ],
    [
      { recipes: { pip: { ...pip, install: [1] } } },
      /has recipes\.pip\.install, which is no list of strings and no string$/,
    ],
    [{ recipes: { pip: { ...pip, projectDir: '/' } } }, /has recipes\.pip\.projectDir, but/],
  ])('refuses %j', (content, message) => {
    write(content);
    expect(() => readProjectRecipes(dir, builtInRecipes)).toThrow(
      expect.objectContaining({
        code: 'CONFIG_INVALID',
        message: expect.stringMatching(message) as string,
      }) as Error,
    );
  });

  it('refuses what no recipe may be, as on the command line', () => {
    const refused = (recipes: unknown, text: string): void => {
      write({ recipes });
      expect(() => readProjectRecipes(dir, builtInRecipes)).toThrow(
        expect.objectContaining({
          code: 'CONFIG_INVALID',
          message: `.sandbox-cache.json has recipes.${text}`,
          hint: 'docs/EXTENDING.md shows what it takes.',
        }) as Error,
      );
    };
    refused({ pip: { ...pip, paths: ['../venv'] } }, 'pip: "../venv" is outside the project');
    refused({ pip: { paths: ['venv'] } }, 'pip: "pip" names no lockfile');
    refused({ Pip: pip }, 'Pip: "Pip" is no recipe name');
  });

  it('adds to the key of a built-in recipe, also where the project’s settings make another of it', () => {
    write({ recipes: { npm: { files: ['schema.prisma'], variables: ['ENGINE'] } } });
    const [npm] = readProjectRecipes(dir, builtInRecipes);
    for (const recipe of [npm, npm!.at!({ dir, env: {} })]) {
      expect(recipe).toMatchObject({ name: 'npm', keyFiles: ['patches/*.patch', 'schema.prisma'] });
      expect(keyVariables(recipe!, { ENGINE: 'x' })).toEqual({ ENGINE: 'x' });
    }
    write({ recipes: { npm: { files: ['a'], install: 'make' } } });
    expect(() => readProjectRecipes(dir, builtInRecipes)).toThrow(
      /has recipes\.npm\.install, but a built-in recipe takes files and variables$/,
    );
    write({ recipes: { npm: { lockfiles: ['a'], paths: ['b'], files: ['c/*.txt'] } } });
    expect(readProjectRecipes(dir, builtInRecipes)).toMatchObject([{ label: 'npm', keyFiles: ['c/*.txt'] }]);
  });

  it('says when the file cannot be read', () => {
    mkdirSync(join(dir, '.sandbox-cache.json'));
    expect(() => readProjectRecipes(dir, builtInRecipes)).toThrow(
      '.sandbox-cache.json is not a regular file',
    );
  });
});
