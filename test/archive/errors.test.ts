/** Whose fault a failure is: only what the bytes of an archive say may count against the entry. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { codecError, memoryError, writeError } from '../../src/archive/errors.ts';
import { finishTree } from '../../src/archive/unpack/finish-tree.ts';
import { temporaryDir } from './unpacking.ts';

const systemError = (code: string, fields: object = {}): Error =>
  Object.assign(new Error(code), { code, ...fields });

describe('a decompressor that fails', () => {
  it.each([
    ['Z_DATA_ERROR', 'ARCHIVE_CORRUPT'],
    ['ZSTD_error_corruption_detected', 'ARCHIVE_CORRUPT'],
    ['ERR_BUFFER_TOO_LARGE', 'ARCHIVE_CORRUPT'],
    ['ZSTD_error_frameParameter_windowTooLarge', 'ARCHIVE_LIMIT'],
    ['Z_MEM_ERROR', 'OUT_OF_MEMORY'],
    ['ZSTD_error_memory_allocation', 'OUT_OF_MEMORY'],
    ['ERR_ZLIB_INITIALIZATION_FAILED', 'OUT_OF_MEMORY'],
  ])('%s is %s', (code, expected) => {
    expect(codecError(systemError(code))).toMatchObject({ code: expected });
  });

  it('leaves the errors of whoever fed it as they are', () => {
    const error = systemError('ECONNRESET');
    expect(codecError(error)).toBe(error);
  });
});

it('a buffer that cannot be had is want of memory', () => {
  expect(memoryError(new RangeError('Array buffer allocation failed'))).toMatchObject({
    code: 'OUT_OF_MEMORY',
  });
  const other = new RangeError('Invalid array length');
  expect(memoryError(other)).toBe(other);
});

describe('a name that is taken', () => {
  it('counts against the archive only where the directory can be looked at', () => {
    const dir = temporaryDir();
    const place = join(dir, 'gone/file');
    expect(writeError('a/file', systemError('EEXIST', { path: place }))).toMatchObject({
      code: 'TARGET_UNWRITABLE',
    });
    mkdirSync(join(dir, 'gone'));
    writeFileSync(place, '');
    expect(writeError('a/file', systemError('EEXIST', { path: place }))).toMatchObject({
      code: 'ARCHIVE_REFUSED',
    });
  });
});

describe('a hard link that fails', () => {
  it('counts against the archive only where somebody else has not removed what is staged', () => {
    const dir = temporaryDir();
    const roots = [{ prefix: 'deps', dir: join(dir, 'deps') }];
    const hardlinks = [{ target: join(dir, 'deps/link'), to: join(dir, 'deps/file'), mtimeUs: 0 }];
    const link = (): unknown => finishTree({ type: 'finish', roots, hardlinks });
    expect(link).toThrow(expect.objectContaining({ code: 'TARGET_UNWRITABLE' }));
    mkdirSync(join(dir, 'deps'));
    expect(link).toThrow(expect.objectContaining({ code: 'ARCHIVE_REFUSED' }));
  });
});
