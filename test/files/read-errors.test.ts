import { describe, expect, it } from 'vitest';
import { writeError } from '../../src/archive/errors.ts';
import { MORE_FILES_HINT } from '../../src/files/read-errors.ts';
import { unreadable } from '../../src/recipes/support/lockfile.ts';
import { describeFileError } from '../../src/store/local/errors.ts';
import { targetError } from '../../src/workspace/files/errors.ts';
import { sourceError } from '../../src/archive/pack/errors.ts';

describe.each(['EMFILE', 'ENFILE'])('%s', (code) => {
  const error = Object.assign(new Error(`${code}: too many open files`), { code, path: '/project/file' });

  it.each([
    ['a target cannot be set up', targetError(error, 'set up /project')],
    ['a file cannot be written', writeError('a/file', error)],
    ['a file cannot be packed', sourceError('a/file', error)],
    ['a lockfile cannot be read', unreadable('/project/lock', error)],
    ['a directory store fails', describeFileError(error, { doing: 'write', path: '/d/f', dir: '/d' })],
  ])('names the limit where %s', (_, told) => {
    expect(told).toHaveProperty('hint', expect.stringContaining(MORE_FILES_HINT));
  });
});
