import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { removeTree } from '../../../src/workspace/files/removal.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';

let folder: TemporaryFolder;
let dir: string;
beforeEach(async () => {
  folder = await makeTemporaryFolder('removal');
  dir = join(folder.path, 'tree');
  mkdirSync(dir);
  // More than one slice handles.
  for (let n = 0; n < 100; n++) writeFileSync(join(dir, `${n}`), '');
  // Every slice is over at once.
  let now = 0;
  vi.spyOn(performance, 'now').mockImplementation(() => (now += 1000));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await folder.remove();
});

/** Called between slices: the first time, somebody makes a file in the directory that is being removed. */
function makeOneMore(): () => boolean {
  let made = false;
  return () => {
    if (!made) writeFileSync(join(dir, 'one-more'), '');
    made = true;
    return false;
  };
}

it('removes what somebody adds meanwhile, too', async () => {
  await expect(removeTree(dir, makeOneMore())).resolves.toBe(true);
  expect(existsSync(dir)).toBe(false);
});

it('gives up on somebody who never stops, and says so', async () => {
  let count = 0;
  const makeMore = (): boolean => {
    writeFileSync(join(dir, `more-${count++}`), '');
    return false;
  };
  await expect(removeTree(dir, makeMore)).rejects.toMatchObject({ code: 'ENOTEMPTY' });
});

it('stops when it is late, and says that something is left', async () => {
  await expect(removeTree(dir, () => true)).resolves.toBe(false);
  expect(existsSync(dir)).toBe(true);
});
