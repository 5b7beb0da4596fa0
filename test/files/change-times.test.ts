import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it, onTestFinished } from 'vitest';
import { showsChanges } from '../../src/files/change-times.ts';

it.runIf(process.platform === 'linux')('a file system in memory shows changes, and /proc does not', () => {
  const dir = mkdtempSync(join('/dev/shm', 'change-times-'));
  onTestFinished(() => rmSync(dir, { recursive: true }));
  expect(showsChanges(dir)).toBe(true);
  expect(showsChanges('/proc/self')).toBe(false);
});

it('what is not there shows nothing', () => {
  expect(showsChanges('/does/not/exist')).toBe(false);
});
