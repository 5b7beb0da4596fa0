import { tmpdir } from 'node:os';
import { expect, it } from 'vitest';
import { fuzz } from './run.ts';

it('no archive escapes, crashes or hangs: 2,000 of those that archives.ts makes', async () => {
  const { outcomes } = await fuzz({ base: tmpdir(), from: 1, to: 2001 });
  // The generator is worth something only while it reaches every end.
  expect(Object.keys(outcomes).sort()).toEqual([
    'ARCHIVE_CORRUPT',
    'ARCHIVE_LIMIT',
    'ARCHIVE_REFUSED',
    'ARCHIVE_TRUNCATED',
    'unpacked',
  ]);
});
