/** Files that a repository or a variable names, and that are not what they should be: an error that says which, never a wait. */
import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { useProject } from './loading.ts';

const { load, refusal, project } = useProject();

const makers: [string, RegExp, (path: string) => void][] = [
  ['a FIFO', /is not a regular file/, (path) => void execFileSync('mkfifo', [path])],
  ['a link to /dev/zero', /is not a regular file/, (path) => symlinkSync('/dev/zero', path)],
  ['a directory', /is not a regular file/, (path) => void mkdirSync(path)],
  ['a link to itself', /cannot be read \(ELOOP\)/, (path) => symlinkSync(path, path)],
  ['a huge file', /is too large/, (path) => writeFileSync(path, Buffer.alloc(2_000_000, 'A=1\n'))],
];

describe.each(makers)('%s', (_, why, make) => {
  it('as .env.claude-sandbox', () => {
    make(join(project(), '.env.claude-sandbox'));
    const { code, message } = refusal({});
    expect(code).toBe('CONFIG_INVALID');
    expect(message).toMatch(why);
    expect(message).toContain(join(project(), '.env.claude-sandbox'));
  });

  it.each(['CACHE_SIGNING_KEY', 'CACHE_VERIFY_KEY'])('as %s', (name) => {
    make(join(project(), 'key'));
    const { code, message } = refusal({ [name]: 'key' });
    expect(code).toBe('CONFIG_INVALID');
    expect(message).toMatch(why);
    expect(message).toContain(`${name}: ${join(project(), 'key')} `);
  });
});

it('.env.claude-sandbox may be a link to a file elsewhere', () => {
  writeFileSync(join(project(), 'shared.env'), 'CACHE_KEY_SALT=shared\n');
  symlinkSync('shared.env', join(project(), '.env.claude-sandbox'));
  expect(load().keySalt).toBe('shared');
});

it('/dev/null in its place is no file', () => {
  symlinkSync('/dev/null', join(project(), '.env.claude-sandbox'));
  expect(load().warnings).toEqual([]);
});

it.skipIf(process.getuid?.() === 0)('.env.claude-sandbox that this user may not read', () => {
  writeFileSync(join(project(), '.env.claude-sandbox'), '');
  chmodSync(join(project(), '.env.claude-sandbox'), 0);
  expect(refusal({}).message).toContain('cannot be read (EACCES)');
});

it('names the line that Compose would not take, and not what is in it', () => {
  const { code, message } = refusal({}, 'A=1\nAWS_SECRET_ACCESS_KEY="hidden\n');
  expect(code).toBe('CONFIG_INVALID');
  expect(message).toBe('.env.claude-sandbox line 2 has no closing quote');
});

it('refuses a reference in a name of ours, and leaves others alone', () => {
  expect(refusal({}, 'CACHE_S3_PREFIX=${GITHUB_TOKEN}\n').message).toContain(
    '.env.claude-sandbox line 1: CACHE_S3_PREFIX refers to another variable',
  );
  expect(load({}, "DB_PASSWORD=pa$word\nCACHE_KEY_SALT='pa$word'\n").keySalt).toBe('pa$word');
  expect(load({}, 'CACHE_KEY_SALT=$X\nCACHE_KEY_SALT=y\n').keySalt).toBe('y');
});
