import { mkdirSync, mkdtempSync, readdirSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { mayRenew } from '../../../src/workspace/notes/renewal.ts';

const DAY = 24 * 60 * 60 * 1000;
let base: string;
let project: string;
beforeEach(() => {
  base = realpathSync(mkdtempSync(join(tmpdir(), 'sandbox-cache-renewal-')));
  project = join(base, 'project');
  mkdirSync(project);
  vi.stubEnv('TMPDIR', base);
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllEnvs();
  rmSync(base, { recursive: true, force: true });
});

it('lets an entry be renewed once a day, and another one at once', () => {
  vi.useFakeTimers({ now: Date.UTC(2026, 0, 1), toFake: ['Date'] });
  expect(mayRenew(project, 'npm', 'one')).toBe(true);
  expect(mayRenew(project, 'npm', 'one')).toBe(false);
  expect(mayRenew(project, 'bundle', 'three')).toBe(true);
  vi.setSystemTime(Date.now() + DAY - 1);
  expect(mayRenew(project, 'npm', 'one')).toBe(false);
  vi.setSystemTime(Date.now() + 1);
  expect(mayRenew(project, 'npm', 'one')).toBe(true);
  expect(mayRenew(project, 'npm', 'two')).toBe(true);
});

it('is not stopped by a note from the future, or by what is none', () => {
  vi.useFakeTimers({ now: Date.now() + 3 * DAY, toFake: ['Date'] });
  expect(mayRenew(project, 'npm', 'one')).toBe(true);
  vi.useRealTimers();
  expect(mayRenew(project, 'npm', 'one')).toBe(true);
  const dir = join(
    base,
    readdirSync(base).find((name) => name.startsWith('sandbox-cache-'))!,
  );
  writeFileSync(join(dir, readdirSync(dir)[0]!), '[]');
  expect(mayRenew(project, 'npm', 'one')).toBe(true);
});

it('is no where no note can be kept', () => {
  writeFileSync(join(base, `sandbox-cache-${process.geteuid?.()}`), '');
  expect(mayRenew(project, 'npm', 'one')).toBe(false);
});
