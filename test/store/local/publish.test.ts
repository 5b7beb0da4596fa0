/** A file system without hard links, as SMB and some FUSE mounts are: `link` is all that is different there. */
import { readdirSync } from 'node:fs';
import { mkdir, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { createDirectoryStore } from '../../../src/store/local/local-store.ts';
import { publish, takeAway } from '../../../src/store/local/publish.ts';
import { sidecarFolder, temporaryPath } from '../../../src/store/local/layout.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../../support/temporary.ts';
import { pieces } from '../contract.ts';

const without = vi.hoisted(() => ({ links: undefined as string | undefined }));
vi.mock('node:fs/promises', async (original) => {
  const fs = await original<typeof import('node:fs/promises')>();
  const link: typeof fs.link = async (from, to) => {
    if (without.links === undefined) return fs.link(from, to);
    throw Object.assign(new Error(`${without.links}: link`), { code: without.links });
  };
  return { ...fs, link };
});

let folder: TemporaryFolder;
let dir: string;
let path: string;
beforeEach(async () => {
  folder = await makeTemporaryFolder('publish');
  dir = folder.path;
  path = join(dir, 'cache/entry.tar.gz');
});
afterEach(async () => {
  without.links = undefined;
  await folder.remove();
});

async function written(text: string): Promise<string> {
  const temporary = temporaryPath(dir);
  await mkdir(join(temporary, '..'), { recursive: true });
  await writeFile(temporary, text);
  return temporary;
}

it.each(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])(
  'publishes where a link ends with %s, and keeps what is there',
  async (code) => {
    without.links = code;
    expect(await publish({ dir, temporary: await written('first'), path, ifExists: 'keep' })).toBe(true);
    expect(await publish({ dir, temporary: await written('second'), path, ifExists: 'keep' })).toBe(false);
    expect(await readFile(path, 'utf8')).toBe('first');
  },
);

it('puts back what was taken aside and is another', async () => {
  without.links = 'EPERM';
  await publish({ dir, temporary: await written('first'), path, ifExists: 'keep' });
  expect(await takeAway(dir, path, 'an etag of nothing')).toBe('another');
  expect(await readFile(path, 'utf8')).toBe('first');
});

it('fails with any other error of a link', async () => {
  without.links = 'EIO';
  const work = publish({ dir, temporary: await written('first'), path, ifExists: 'keep' });
  await expect(work).rejects.toMatchObject({ code: 'EIO' });
});

it('never publishes through what is no file', async () => {
  await mkdir(join(path, '..'), { recursive: true });
  await symlink('elsewhere', path);
  const work = publish({ dir, temporary: await written('first'), path, ifExists: 'keep' });
  await expect(work).rejects.toMatchObject({ code: 'STORE_FAILED' });
});

it('leaves no sidecar of a writer that lost, nor of one that was stopped before it published', async () => {
  const store = createDirectoryStore({ dir, maxSizeBytes: 1e9, emit: () => {} });
  const stop = new AbortController();
  const options = { ifExists: 'keep', metadata: {}, signal: stop.signal } as const;
  const sidecars = async (): Promise<string[]> => readdir(sidecarFolder(dir));
  const key = 'cache/npm-0123456789abcdef.tar.gz';
  await store.write(key, pieces(Buffer.from('one'), 10), options);
  const before = await sidecars();
  expect(before).toHaveLength(1);
  expect(await store.write(key, pieces(Buffer.from('two'), 10), options)).toEqual({ type: 'exists' });
  expect(await sidecars()).toEqual(before);

  // The last look at the signal is when all is written but the name.
  const look = stop.signal.throwIfAborted.bind(stop.signal);
  vi.spyOn(stop.signal, 'throwIfAborted').mockImplementation(() => {
    if (readdirSync(sidecarFolder(dir)).length > before.length) stop.abort(new Error('stop'));
    look();
  });
  const other = 'cache/npm-fedcba9876543210.tar.gz';
  await expect(store.write(other, pieces(Buffer.from('three'), 10), options)).rejects.toThrow('stop');
  expect(await sidecars()).toEqual(before);
  expect(await readdir(join(dir, 'cache'))).toHaveLength(1);
  store.close();
});
