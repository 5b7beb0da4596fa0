import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  realpathSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { clearRejected, noteRejected, readRejected } from '../../../src/workspace/notes/rejected.ts';

const NOTE = {
  key: 'prefix/npm-0123456789abcdef.tar.gz',
  etag: '"abc"',
  writeId: '2f1c',
  reason: 'one byte is wrong',
};

let base: string;
let project: string;
let notes: string;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-rejected-')));
  project = join(base, 'project');
  mkdirSync(project);
  vi.stubEnv('TMPDIR', base);
  notes = join(base, `sandbox-cache-${process.geteuid?.()}`);
});
afterEach(() => {
  vi.unstubAllEnvs();
  rmSync(base, { recursive: true, force: true });
});

/** Where the note of `npm` is. */
function noteFile(): string {
  return join(
    notes,
    readdirSync(notes).find((name) => name.startsWith('rejected-npm-'))!,
  );
}

it('keeps one note for each recipe and project until it is cleared', () => {
  expect(readRejected(project, 'npm')).toBeUndefined();
  noteRejected(project, 'npm', NOTE);
  noteRejected(project, 'bundle', { ...NOTE, etag: '"def"' });
  expect(readRejected(project, 'npm')).toEqual(NOTE);
  expect(readRejected(base, 'npm')).toBeUndefined();
  clearRejected(project, 'npm');
  expect(readRejected(project, 'npm')).toBeUndefined();
  expect(readRejected(project, 'bundle')?.etag).toBe('"def"');
  clearRejected(project, 'npm');
});

it('leaves nothing in the project, and lets nobody else read', () => {
  noteRejected(project, 'npm', NOTE);
  expect(readdirSync(project)).toEqual([]);
  expect(statSync(notes).mode & 0o7777).toBe(0o700);
  expect(statSync(noteFile()).mode & 0o7777).toBe(0o600);
});

it.each(['', '{"key":"k"}', '[]', 'null', ' '.repeat(100_000) + JSON.stringify(NOTE)])(
  'takes what is not a whole note for none (%#)',
  (text) => {
    noteRejected(project, 'npm', NOTE);
    writeFileSync(noteFile(), text);
    expect(readRejected(project, 'npm')).toBeUndefined();
  },
);

it('is not written through a symlink, and not read through one', () => {
  noteRejected(project, 'npm', NOTE);
  writeFileSync(join(base, 'precious'), JSON.stringify(NOTE));
  const file = noteFile();
  rmSync(file);
  symlinkSync('../precious', file);
  expect(readRejected(project, 'npm')).toBeUndefined();
  noteRejected(project, 'npm', { ...NOTE, reason: 'new' });
  expect(readRejected(project, 'npm')?.reason).toBe('new');
  expect(JSON.parse(readFileSync(join(base, 'precious'), 'utf8'))).toEqual(NOTE);
});

describe('notes that others could have made do not count:', () => {
  const refused = expect.objectContaining({ code: 'TARGET_REFUSED' }) as Error;

  it('in a directory that others may write to', () => {
    noteRejected(project, 'npm', NOTE);
    chmodSync(notes, 0o777);
    expect(readRejected(project, 'npm')).toBeUndefined();
    expect(() => noteRejected(project, 'npm', NOTE)).toThrow(refused);
  });

  it('in one that a symlink leads to', () => {
    noteRejected(project, 'npm', NOTE);
    const real = join(base, 'real');
    mkdirSync(real, { mode: 0o700 });
    writeFileSync(join(real, noteFile().slice(notes.length)), JSON.stringify(NOTE));
    rmSync(notes, { recursive: true });
    symlinkSync(real, notes);
    expect(readRejected(project, 'npm')).toBeUndefined();
    expect(() => noteRejected(project, 'npm', NOTE)).toThrow(refused);
  });

  it('in the project: a checkout may bring those', () => {
    vi.stubEnv('TMPDIR', join(project, 'tmp'));
    notes = join(project, `tmp/sandbox-cache-${process.geteuid?.()}`);
    mkdirSync(notes, { mode: 0o700, recursive: true });
    expect(() => noteRejected(project, 'npm', NOTE)).toThrow(refused);
    expect(readRejected(project, 'npm')).toBeUndefined();
  });
});
