import { execFileSync } from 'node:child_process';
import { mkdirSync, symlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { systemCode } from '../../src/errors.ts';
import { readSmallFile, readSmallText, type ReadLimits } from '../../src/files/read-small-file.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../support/temporary.ts';

let folder: TemporaryFolder;
let dir: string;

beforeAll(async () => {
  folder = await makeTemporaryFolder('read-small-file');
  dir = folder.path;
});

afterAll(() => folder.remove());

it('reads a file whole, with the status of what it read', () => {
  const path = join(dir, 'plain');
  writeFileSync(path, 'some text\n');
  expect(readSmallText(path, { maxBytes: 10 })).toBe('some text\n');
  expect(readSmallFile(path, { maxBytes: 10 }).stat.size).toBe(10n);
});

it('reads files that say a size of 0, as those of /proc do', () => {
  expect(readSmallText('/proc/self/status', { maxBytes: 1 << 20 })).toContain('Name:');
  expect(codeOf('/proc/self/status', { maxBytes: 16 })).toBe('EFBIG');
});

it('follows a link only where it may', () => {
  writeFileSync(join(dir, 'aim'), 'x');
  symlinkSync('aim', join(dir, 'link'));
  expect(readSmallText(join(dir, 'link'), { maxBytes: 1 })).toBe('x');
  expect(codeOf(join(dir, 'link'), { maxBytes: 1, followLinks: false })).toBe('ELOOP');
});

it('refuses what is larger, without reading it', () => {
  writeFileSync(join(dir, 'sparse'), '');
  truncateSync(join(dir, 'sparse'), 2 ** 40);
  expect(codeOf(join(dir, 'sparse'), { maxBytes: 1 << 20 })).toBe('EFBIG');
});

it('refuses FIFOs, devices and directories at once', () => {
  execFileSync('mkfifo', [join(dir, 'fifo')]);
  mkdirSync(join(dir, 'folder'));
  symlinkSync('/dev/zero', join(dir, 'zero'));
  for (const name of ['fifo', 'folder', 'zero'])
    expect(codeOf(join(dir, name), { maxBytes: 1 << 20 }), name).toBe('ENOTREG');
});

it('passes on what the system says', () => {
  expect(codeOf(join(dir, 'missing'), { maxBytes: 1 })).toBe('ENOENT');
});

function codeOf(path: string, limits: ReadLimits): string | undefined {
  try {
    readSmallFile(path, limits);
    return undefined;
  } catch (error) {
    return systemCode(error);
  }
}
