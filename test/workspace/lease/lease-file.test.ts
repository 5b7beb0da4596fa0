/** A file system without hard links, as SMB and some FUSE mounts are: `link` is all that is different there. */
import { closeSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createWhole } from '../../../src/workspace/lease/lease-file.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';

const without = vi.hoisted(() => ({ links: undefined as string | undefined }));
vi.mock('node:fs', async (original) => {
  const fs = await original<typeof import('node:fs')>();
  const linkSync: typeof fs.linkSync = (from, to) => {
    if (without.links === undefined) return fs.linkSync(from, to);
    throw Object.assign(new Error(`${without.links}: link`), { code: without.links });
  };
  return { ...fs, linkSync };
});

let folder: TemporaryFolder;
let path: string;
beforeEach(async () => {
  folder = await makeTemporaryFolder('lease-file');
  path = join(folder.path, 'lease-1.json');
});
afterEach(async () => {
  without.links = undefined;
  await folder.remove();
});

it.each([undefined, 'EPERM', 'ENOSYS', 'ENOTSUP', 'EMLINK'])(
  'a lease is created once, and whole, where a link ends with %s',
  (code) => {
    without.links = code;
    const fd = createWhole(path, 'mine');
    expect(fd).toBeTypeOf('number');
    expect(createWhole(path, 'another')).toBeUndefined();
    closeSync(fd!);
    expect(readFileSync(path, 'utf8')).toBe('mine');
    expect(readdirSync(folder.path)).toEqual(['lease-1.json']);
  },
);

it('any other error of a link is told, and nothing is left', () => {
  without.links = 'EIO';
  expect(() => createWhole(path, 'mine')).toThrow('EIO');
  expect(readdirSync(folder.path)).toEqual([]);
});
