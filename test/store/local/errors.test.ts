import { expect, it } from 'vitest';
import { CacheError } from '../../../src/errors.ts';
import { describeFileError } from '../../../src/store/local/errors.ts';

const where = { doing: 'write', path: '/store/cache/a', dir: '/store' } as const;

it.each([
  ['ENOSPC', 'DISK_FULL', 'CACHE_LOCAL_MAX_SIZE'],
  ['EACCES', 'STORE_ACCESS_DENIED', 'chmod -R g+ws'],
  ['EMFILE', 'STORE_FAILED', 'ulimit -n'],
  ['EIO', 'STORE_FAILED', 'a working disk'],
])('%s has a code and a hint of its own', (code, expected, hint) => {
  const error = describeFileError(Object.assign(new Error(code), { code }), where);
  expect(error).toMatchObject({
    code: expected,
    message: `Cannot write /store/cache/a (${code})`,
    hint: expect.stringContaining(hint) as string,
  });
});

it('what is no failed system call passes through', () => {
  for (const error of [new Error('no'), new CacheError('TIMEOUT', 'late'), undefined])
    expect(describeFileError(error, where)).toBe(error);
});
