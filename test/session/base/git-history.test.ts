import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import type { Project } from '../../../src/recipes/support/recipe.ts';
import { committedDigests } from '../../../src/session/base/git-history.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';

let folder: TemporaryFolder;
let project: Project;
beforeEach(async () => {
  folder = await makeTemporaryFolder('git-history');
  const env = { PATH: process.env['PATH'] ?? '', HOME: folder.path, GIT_CONFIG_GLOBAL: '/dev/null' };
  project = { dir: join(folder.path, 'app'), lockfile: 'package-lock.json', env };
  mkdirSync(project.dir);
});
afterEach(() => folder.remove());

function git(...args: string[]): void {
  const person = ['-c', 'user.name=test', '-c', 'user.email=test@test'];
  execFileSync('git', [...person, ...args], { cwd: project.dir, env: project.env, stdio: 'pipe' });
}

function commit(text: string, path = project.lockfile): void {
  writeFileSync(join(project.dir, path), text);
  git('add', '-A');
  git('commit', '-qm', text);
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

it('is the lockfile’s versions, the newest first, without commits about other files', async () => {
  git('init', '-q');
  commit('one');
  commit('other', 'other-file');
  commit('two');
  commit('three');
  expect(await committedDigests(project, 8)).toEqual(['three', 'two', 'one'].map(sha256));
  expect(await committedDigests(project, 2)).toEqual(['three', 'two'].map(sha256));
});

it('is read in a subfolder, and for names that git could take for a pattern', async () => {
  git('init', '-q');
  mkdirSync(join(project.dir, 'sub'));
  project = { ...project, dir: join(project.dir, 'sub'), lockfile: ':(top)*.lock' };
  commit('one');
  commit('two', 'another.lock');
  expect(await committedDigests(project, 8)).toEqual([sha256('one')]);
});

it('is nothing where there is no repository, no commit, no history of the file, or no git', async () => {
  expect(await committedDigests(project, 8)).toEqual([]);
  git('init', '-q');
  expect(await committedDigests(project, 8)).toEqual([]);
  commit('other', 'other-file');
  expect(await committedDigests(project, 8)).toEqual([]);
  commit('one');
  expect(await committedDigests({ ...project, env: { PATH: folder.path } }, 8)).toEqual([]);
});
