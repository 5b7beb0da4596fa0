/** A project on a file system that takes `foo` and `FOO` for one name, as a folder of a Mac is in a container. */
import { mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { mountFoldingDisk, whyNoFolding, type FoldingDisk } from '../support/folding.ts';
import { debris, DEPS, expectExit, makeProject, treeOf, useSandbox, writeFiles } from './support.ts';

const sandbox = useSandbox();
const why = whyNoFolding();

describe.skipIf(why !== undefined)(`where names are folded${why === undefined ? '' : ` (${why})`}`, () => {
  let disk: FoldingDisk;
  beforeAll(async () => {
    disk = await mountFoldingDisk();
  });
  afterAll(() => disk.unmount());

  function makeOldProject(name: string): string {
    const cwd = join(disk.path, name);
    mkdirSync(cwd);
    writeFiles(cwd, { 'deps.lock': 'one\n', 'deps/OLD/file': 'old' });
    return cwd;
  }

  it('an honest tree takes the place of the old one', async () => {
    makeProject(sandbox.project);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const cwd = makeOldProject('honest');
    expectExit(await sandbox.run(['restore', ...DEPS], { cwd }), 0);
    expect(treeOf(join(cwd, 'deps'))).toEqual(treeOf(join(sandbox.project, 'deps')));
    expect(expectExit(await sandbox.run(['restore', ...DEPS], { cwd }), 0).stdout).toMatch(
      /already in place/,
    );
    expect(debris(cwd)).toEqual([]);
  });

  it.each([
    ['two files', { 'deps/readme': '1', 'deps/README': '2' }],
    ['two directories', { 'deps/lib/a': '1', 'deps/Lib/b': '2' }],
  ])('%s that would become one: exit 3 with the name, the old tree stays', async (what, files) => {
    makeProject(sandbox.project);
    writeFiles(sandbox.project, files);
    expectExit(await sandbox.run(['save', ...DEPS]), 0);
    const cwd = makeOldProject(what);
    const before = treeOf(join(cwd, 'deps'));
    const result = expectExit(await sandbox.run(['restore', ...DEPS], { cwd }), 3);
    expect(result.stderr).toMatch(
      /^\[cache\] error: [^\n]*"deps\/(lib|readme)[^\n]* only in case [^\n]* \[TARGET_REFUSED\]\n$/i,
    );
    expect(treeOf(join(cwd, 'deps'))).toEqual(before);
    expect(debris(cwd)).toEqual([]);
    // The entry is good: nobody is to replace it.
    expect(readdirSync(cwd).sort()).toEqual(['deps', 'deps.lock']);
  });
});
