import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { swap, type StagedTree } from '../../../src/workspace/commit/moves.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';
import { isRoot } from '../../support/user.ts';
import { makeVersion, versionOf } from '../versions.ts';

let folder: TemporaryFolder;
let tree: StagedTree;
beforeEach(async () => {
  folder = await makeTemporaryFolder('moves');
  const [place, fresh, old] = ['project/deps', 'run/new-0', 'run/old-0'].map((name) =>
    join(folder.path, name),
  );
  tree = {
    change: {
      target: 'deps',
      bay: 'home',
      slot: 0,
      moves: [{ name: '', goes: true, comes: true, doomed: false }],
    },
    place: place!,
    fresh: fresh!,
    old: old!,
  };
  mkdirSync(dirname(tree.place));
  makeVersion(tree.place, 'old');
  mkdirSync(dirname(tree.fresh));
  makeVersion(tree.fresh, 'new');
});
afterEach(() => folder.remove());

// Root needs no right to write to a directory to give it another parent.
it.runIf(!isRoot())('a read-only tree that cannot be set aside keeps its mode', () => {
  chmodSync(tree.place, 0o555);
  mkdirSync(tree.old);
  writeFileSync(join(tree.old, 'in the way'), '');
  expect(() => swap([tree])).toThrow(/ENOTEMPTY/);
  expect(statSync(tree.place).mode & 0o777).toBe(0o555);
  expect(versionOf(tree.place)).toBe('old');
  chmodSync(tree.place, 0o755);
});

it('trees change places, and keep their modes', () => {
  chmodSync(tree.place, 0o555);
  chmodSync(tree.fresh, 0o555);
  swap([tree]);
  expect([tree.place, tree.old].map((path) => [versionOf(path), statSync(path).mode & 0o777])).toEqual([
    ['new', 0o555],
    ['old', 0o555],
  ]);
  for (const path of [tree.place, tree.old]) chmodSync(path, 0o755);
});
