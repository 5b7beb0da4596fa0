import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { customRecipe, type CustomRecipeOptions } from '../../../src/recipes/custom/recipe.ts';
import { findLockfile, readLockfiles } from '../../../src/recipes/support/lockfile.ts';
import type { Project } from '../../../src/recipes/support/recipe.ts';
import { runtimeOf } from '../../../src/recipes/support/runtime.ts';
import { writeFiles } from '../../e2e/support.ts';

let project: Project;
const signal = new AbortController().signal;

beforeAll(() => {
  const dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-custom-'));
  project = { dir, lockfile: 'requirements.txt', env: { PATH: process.env['PATH'] ?? '' } };
});
afterAll(() => rmSync(project.dir, { recursive: true }));

const make = (options: Partial<CustomRecipeOptions> = {}): ReturnType<typeof customRecipe> =>
  customRecipe({
    projectDir: project.dir,
    name: 'pip',
    lockfiles: ['requirements.txt'],
    paths: ['venv'],
    ...options,
  });

describe('customRecipe', () => {
  it('is a recipe like the others', async () => {
    const recipe = make({ paths: ['./venv/', join(project.dir, 'cache/pip')] });
    expect(recipe).toMatchObject({
      name: 'pip',
      label: 'pip',
      marker: 'venv/.installed',
      mainTarget: 'venv',
    });
    expect(await recipe.targets(project)).toEqual(['venv', 'cache/pip']);
    expect(recipe.install(project)).toBeUndefined();
    expect(await runtimeOf(recipe, project, signal)).toMatch(/^[a-z0-9]+-[a-z0-9]+(-musl)?$/);
  });

  it('needs every lockfile, and puts every one into the key', () => {
    const recipe = make({ lockfiles: ['requirements.txt', 'requirements-dev.txt'] });
    writeFileSync(join(project.dir, 'requirements.txt'), 'a\n');
    expect(findLockfile(project.dir, recipe)).toBeUndefined();
    expect(readLockfiles(project.dir, recipe)).toEqual([]);
    writeFileSync(join(project.dir, 'requirements-dev.txt'), 'b\n');
    expect(findLockfile(project.dir, recipe)).toBe('requirements.txt');
    expect(readLockfiles(project.dir, recipe).map(({ path }) => path)).toEqual([
      'requirements.txt',
      'requirements-dev.txt',
    ]);
  });

  it('reads a lockfile above the project, as monorepos have', () => {
    expect(make({ lockfiles: ['../pnpm-lock.yaml'] }).lockfiles).toEqual(['../pnpm-lock.yaml']);
  });

  it.each([
    [{ name: 'Pip' }, '"Pip" is no recipe name'],
    [{ name: 'a/b' }, '"a/b" is no recipe name'],
    [{ name: '' }, '"" is no recipe name'],
    [{ name: 'a--b' }, '"a--b" is no recipe name'],
    [{ name: 'pip-0123456789abcdef' }, '"pip-0123456789abcdef" is no recipe name'],
    [{ name: 'a'.repeat(33) }, 'is no recipe name'],
    [{ lockfiles: [] }, '"pip" names no lockfile'],
    [{ paths: [] }, '"pip" names no directory'],
    [{ lockfiles: [''] }, '"" is no lockfile'],
    [{ paths: [''] }, '"" is the project itself'],
    [{ paths: ['.'] }, '"." is the project itself'],
    [{ paths: ['a/..'] }, '"a/.." is the project itself'],
    [{ paths: ['..'] }, '".." is outside the project'],
    [{ paths: ['a/../../b'] }, '"a/../../b" is outside the project'],
    [{ paths: ['/etc'] }, '"/etc" is outside the project'],
    [{ paths: ['.git'] }, '".git" is part of the repository itself'],
    [{ paths: ['sub/.git/hooks'] }, '"sub/.git/hooks" is part of the repository itself'],
    [{ paths: ['venv', 'venv/lib'] }, '"venv" and venv/lib lie inside each other'],
    [{ paths: ['a/b', 'a'] }, '"a/b" and a lie inside each other'],
    [{ paths: ['a', './a/'] }, '"a" is named twice'],
    [{ paths: ['a\nb'] }, 'holds a character that no path here may have'],
    [{ paths: ['*'] }, 'holds a character that no path here may have'],
  ])('refuses %j', (options, message) => {
    expect(() => make(options)).toThrow(
      expect.objectContaining({
        code: 'USAGE',
        message: expect.stringContaining(message) as string,
      }) as Error,
    );
  });

  it('takes names that only look alike', () => {
    expect(() => make({ paths: ['venv', 'venv2', 'a..b', '.github'] })).not.toThrow();
    expect(() => make({ name: 'pip-0123456789abcde' })).not.toThrow();
  });

  it('verifies that the main directory is there, then with its command', async () => {
    const recipe = make({ verify: 'test -e venv/ok || { echo not ok; exit 1; }' });
    expect(await recipe.verify(project, signal)).toEqual({
      ok: false,
      reason: 'venv is missing',
      blame: 'entry',
    });
    mkdirSync(join(project.dir, 'venv'));
    expect(await make().verify(project, signal)).toEqual({ ok: true });
    expect(await recipe.verify(project, signal)).toMatchObject({
      ok: false,
      reason: expect.stringMatching(/: not ok$/) as string,
    });
    writeFileSync(join(project.dir, 'venv/ok'), '');
    expect(await recipe.verify(project, signal)).toEqual({ ok: true });
  });

  it.each([
    ['what the command says', ['sh', '-c', 'exit 1'], 'entry'],
    ['a program that the directories lack', ['venv/bin/pip', 'check'], 'entry'],
    ['a line that names no program', 'no-such-program check', 'machine'],
    ['a line that names a program whose interpreter is gone', 'venv/moved', 'machine'],
  ] as const)('blames the entry or the machine: %s', async (_, command, blame) => {
    writeFiles(project.dir, { 'venv/ok': '', 'venv/moved': '#!/gone/venv/bin/python3\n' });
    const verdict = await make({ verify: command }).verify(project, signal);
    expect(verdict).toMatchObject({ ok: false, blame });
  });

  it('takes its install and its runtime from commands', async () => {
    const recipe = make({
      install: ['pip', 'install', '-r', 'requirements.txt'],
      runtime: ['echo', 'Python 3.12.1'],
    });
    expect(recipe.install(project)).toEqual({ argv: ['pip', 'install', '-r', 'requirements.txt'], env: {} });
    expect(await recipe.abi(project, signal)).toBe('python3.12.1');
    await expect(make({ runtime: 'exit 3' }).abi(project, signal)).rejects.toMatchObject({
      code: 'RUNTIME_MISSING',
    });
  });
});
