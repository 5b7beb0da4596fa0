import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { clearRejected, noteRejected, readRejected } from '../../src/workspace/rejected.ts';

const NOTE = { key: 'prefix/npm-0123456789abcdef.tar.gz', etag: '"abc"', reason: 'one byte is wrong' };
const FILE = '.sandbox-cache-rejected-npm.json';

let project: string;
beforeEach(() => {
  project = mkdtempSync(join(tmpdir(), 'sandbox-cache-rejected-'));
});
afterEach(() => rmSync(project, { recursive: true, force: true }));

it('keeps one note for each recipe until it is cleared', () => {
  expect(readRejected(project, 'npm')).toBeUndefined();
  noteRejected(project, 'npm', NOTE);
  noteRejected(project, 'bundle', { ...NOTE, etag: '"def"' });
  expect(readRejected(project, 'npm')).toEqual(NOTE);
  clearRejected(project, 'npm');
  expect(readRejected(project, 'npm')).toBeUndefined();
  expect(readRejected(project, 'bundle')?.etag).toBe('"def"');
  clearRejected(project, 'npm');
});

it('survives an installer that empties the target', () => {
  mkdirSync(join(project, 'node_modules'));
  noteRejected(project, 'npm', NOTE);
  rmSync(join(project, 'node_modules'), { recursive: true });
  expect(readRejected(project, 'npm')).toEqual(NOTE);
});

it.each(['', '{"key":"k"}', '[]', 'null'])('takes %s for no note', (text) => {
  writeFileSync(join(project, FILE), text);
  expect(readRejected(project, 'npm')).toBeUndefined();
});

it('is not written through a symlink, and not read through one', () => {
  writeFileSync(join(project, 'precious'), JSON.stringify(NOTE));
  symlinkSync('precious', join(project, FILE));
  expect(readRejected(project, 'npm')).toBeUndefined();
  noteRejected(project, 'npm', { ...NOTE, reason: 'new' });
  expect(readRejected(project, 'npm')?.reason).toBe('new');
  expect(JSON.parse(readFileSync(join(project, 'precious'), 'utf8'))).toEqual(NOTE);
  expect(existsSync(join(project, FILE))).toBe(true);
});
