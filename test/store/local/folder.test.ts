import { mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { makeFolder } from '../../../src/store/local/folder.ts';

let dir: string;
beforeEach(async () => void (dir = await mkdtemp(join(tmpdir(), 'sandbox-cache-folder-'))));
afterEach(() => rm(dir, { recursive: true, force: true }));

it('makes it with those above it, and takes one that is there', async () => {
  await mkdir(join(dir, 'elsewhere'));
  await symlink('elsewhere', join(dir, 'link'));
  // Several at once meet on the way.
  await Promise.all(['a/b/c', 'a/b/d', 'a/b/c', 'link/x'].map((path) => makeFolder(join(dir, path))));
  for (const path of ['a/b/c', 'a/b/d', 'elsewhere/x'])
    expect((await stat(join(dir, path))).isDirectory()).toBe(true);
});

it('fails where something else is in the way', async () => {
  await writeFile(join(dir, 'file'), '');
  await symlink('nowhere', join(dir, 'dangling'));
  for (const path of ['file', 'file/x', 'dangling', 'dangling/x'])
    await expect(makeFolder(join(dir, path)), path).rejects.toMatchObject({
      code: expect.stringMatching(/^(EEXIST|ENOTDIR)$/) as string,
    });
});

it.skipIf(!existsSync('/proc/self'))(
  'fails where the system makes none, and does not try for ever',
  async () => {
    await expect(makeFolder('/proc/sandbox-cache/a/b')).rejects.toMatchObject({ code: 'ENOENT' });
  },
);
