/** What is taken away of an older bundle: its packages are tried by test/fuzz/gem-bumps.ts. */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { bundleIncremental } from '../../../src/recipes/bundle/incremental.ts';
import { rubyFacts } from '../../../src/recipes/bundle/ruby-facts.ts';
import type { Project } from '../../../src/recipes/support/recipe.ts';
import { rubyMissing } from '../../support/gem-project.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';

const TARGET = 'vendor/bundle';
const { signal } = new AbortController();

let folder: TemporaryFolder;
let project: Project;
beforeEach(async () => {
  folder = await makeTemporaryFolder('bundle-incremental');
  project = { dir: folder.path, lockfile: 'Gemfile.lock', env: { PATH: process.env['PATH'] ?? '' } };
});
afterEach(() => folder.remove());

function write(path: string): void {
  mkdirSync(dirname(join(folder.path, TARGET, path)), { recursive: true });
  writeFileSync(join(folder.path, TARGET, path), '');
}

const filesIn = (path = ''): string[] =>
  readdirSync(join(folder.path, TARGET, path), { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort();

describe.skipIf((await rubyMissing()) !== undefined)('an older bundle', () => {
  it('loses what an install from nothing would not make, but for what stays where it is', async () => {
    const { abi } = await rubyFacts(project, signal);
    const bundle = abi.replace(/^([a-z]+)/, '$1/').replace(/-static$/, '');
    for (const path of ['volume/a', 'lost+found/b', 'other/c', `${bundle}/gems/d-1.0.0/d`]) write(path);
    const { prune } = bundleIncremental(TARGET, () => undefined);
    await prune(project, signal, new Set([`${TARGET}/volume`, `${TARGET}/lost+found`]));
    expect(filesIn()).toEqual(['a', 'b']);
  });

  it('is left alone where what it would lie in is mounted', async () => {
    const { abi } = await rubyFacts(project, signal);
    const [engine = ''] = /^[a-z]+/.exec(abi) ?? [];
    for (const path of [`${engine}/0.0.0/gems/a`, 'other/b']) write(path);
    const { prune } = bundleIncremental(TARGET, () => undefined);
    const { kept } = await prune(project, signal, new Set([`${TARGET}/${engine}`]));
    expect(kept.size).toBe(0);
    expect(filesIn()).toEqual(['a']);
  });
});
