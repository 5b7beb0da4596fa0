import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, mkdir, rm, symlink, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { compare, unfaithful, type RoundTrip } from './round-trip.ts';

let folder = '';
let original = '';
let copy = '';

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'sandbox-cache-test-'));
  original = join(folder, 'original');
  copy = join(folder, 'copy');
  await mkdir(join(original, 'inside'), { recursive: true });
  await writeFile(join(original, 'inside/file'), 'bytes');
  await symlink('inside/file', join(original, 'link'));
  execFileSync('cp', ['-a', original, copy]);
});

afterEach(() => rm(folder, { recursive: true }));

function differences(): string {
  const found: string[] = [];
  compare(original, copy, found);
  return found.join('\n');
}

describe('compare', () => {
  it('counts every entry', () => {
    expect(differences()).toBe('');
    expect(compare(original, copy, [])).toBe(4);
  });

  it.each<[string, () => Promise<unknown>, RegExp]>([
    ['other bytes', () => writeFile(join(copy, 'inside/file'), 'bytez'), /other bytes/],
    ['other permissions', () => chmod(join(copy, 'inside/file'), 0o700), /permissions is/],
    ['another time', () => utimes(join(copy, 'inside/file'), 1, 1), /time in µs is/],
    ['a lost file', () => rm(join(copy, 'inside/file')), /one side only/],
    ['an extra file', () => writeFile(join(copy, 'more'), ''), /one side only/],
    [
      'a link that points elsewhere',
      async () => {
        await rm(join(copy, 'link'));
        await symlink('inside', join(copy, 'link'));
      },
      /points elsewhere/,
    ],
  ])('notices %s', async (_, change, message) => {
    await change();
    expect(differences()).toMatch(message);
  });
});

it('an archive that depends on the workers is unfaithful', () => {
  const trip = (workers: number, digest: string): RoundTrip => ({
    corpus: 'S',
    compression: 'gzip',
    workers,
    entries: 1,
    differences: [],
    digest,
  });
  const same = [trip(1, 'a'), trip(2, 'a')];
  const different = [trip(1, 'a'), trip(2, 'b')];
  expect(same.some((each) => unfaithful(each, same))).toBe(false);
  expect(different.some((each) => unfaithful(each, different))).toBe(true);
});
