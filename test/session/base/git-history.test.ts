import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { chmodSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
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

function digestsOf(most: number, of: Project): Promise<string[]> {
  return committedDigests(of, { most, signal: new AbortController().signal });
}

/** A git that walks the history, and then does not end. */
function makeSlowGit(): Project {
  const bin = join(folder.path, 'bin');
  mkdirSync(bin);
  const script = `#!/bin/sh\nPATH='${process.env['PATH']}'\ncase "$*" in\n*rev-list*) git "$@"; echo begun >"${bin}/begun"; printf 0123; exec sleep 600;;\nesac\nexec git "$@"\n`;
  writeFileSync(join(bin, 'git'), script);
  chmodSync(join(bin, 'git'), 0o755);
  return { ...project, env: { ...project.env, PATH: bin } };
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');

it('is the lockfile’s versions, the newest first, without commits about other files', async () => {
  git('init', '-q');
  commit('one');
  commit('other', 'other-file');
  commit('two');
  commit('three');
  expect(await digestsOf(8, project)).toEqual(['three', 'two', 'one'].map(sha256));
  expect(await digestsOf(2, project)).toEqual(['three', 'two'].map(sha256));
});

it('is read in a subfolder, and for names that git could take for a pattern', async () => {
  git('init', '-q');
  mkdirSync(join(project.dir, 'sub'));
  project = { ...project, dir: join(project.dir, 'sub'), lockfile: ':(top)*.lock' };
  commit('one');
  commit('two', 'another.lock');
  expect(await digestsOf(8, project)).toEqual([sha256('one')]);
});

it('is nothing where there is no repository, no commit, no history of the file, or no git', async () => {
  expect(await digestsOf(8, project)).toEqual([]);
  git('init', '-q');
  expect(await digestsOf(8, project)).toEqual([]);
  commit('other', 'other-file');
  expect(await digestsOf(8, project)).toEqual([]);
  commit('one');
  expect(await digestsOf(8, { ...project, env: { PATH: folder.path } })).toEqual([]);
});

it('is what git has told by then where it is too slow', async () => {
  git('init', '-q');
  commit('one');
  commit('two');
  expect(await digestsOf(8, makeSlowGit())).toEqual(['two', 'one'].map(sha256));
});

it('is given up at once when the run is stopped', async () => {
  git('init', '-q');
  commit('one');
  const slow = makeSlowGit();
  const { signal, abort } = stopping();
  const digests = committedDigests(slow, { most: 8, signal });
  await expect.poll(() => readdirSync(join(folder.path, 'bin'))).toContain('begun');
  abort();
  await expect(digests).rejects.toThrow('stopped');
});

function stopping(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort(new Error('stopped')) };
}
