import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  digestText,
  entryKey,
  type KeyIngredients,
  keyDigest,
  keyPrefix,
  parseKey,
  RECIPE_NAME,
} from '../src/key.ts';

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
const EXTENSION = fc.constantFrom('.tar.gz' as const, '.tar.zst' as const, '.tar' as const);
const hexDigest = fc.stringMatching(/^[0-9a-f]{64}$/);
const recipeName = fc.stringMatching(/^[a-z0-9_]{1,8}(-[a-z0-9_]{1,8}){0,3}$/);
const runtime = fc.constantFrom(
  '',
  'linux-x64',
  'linux-x64-musl-ruby3.1.0',
  'linux-arm64-node115',
  'darwin-arm64-jruby3.1.0',
  'linux-x64-ruby3.3.0-static',
  'linux-x64-0123456789abcdef',
);
const ingredients: fc.Arbitrary<KeyIngredients> = fc.record({
  files: fc.uniqueArray(fc.record({ path: fc.string({ minLength: 1 }), sha256: hexDigest }), {
    minLength: 1,
    maxLength: 4,
    selector: ({ path }) => path,
  }),
  salt: fc.option(fc.string(), { nil: undefined }),
  variables: fc.dictionary(fc.stringMatching(/^[A-Za-z_]{1,12}$/), fc.string()),
});

/** The vectors of docs/keys.md: the files' bytes, what is mixed in, the digest. */
interface Vector {
  name: string;
  files: Record<string, string>;
  salt?: string;
  variables?: Record<string, string>;
  digest: string;
}

function publishedVectors(): Vector[] {
  const text = readFileSync(new URL('../docs/keys.md', import.meta.url), 'utf8');
  return JSON.parse(/```json\n([^`]*"digest"[^`]*)```/.exec(text)![1]!) as Vector[];
}

describe('keyDigest', () => {
  it('is what sha256sum says of a single lockfile', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-key-'));
    try {
      writeFileSync(join(dir, 'Gemfile.lock'), 'GEM\n  specs:\n');
      const [digest] = execFileSync('sha256sum', ['Gemfile.lock'], { cwd: dir, encoding: 'utf8' }).split(' ');
      const bytes = readFileSync(join(dir, 'Gemfile.lock'), 'utf8');
      expect(keyDigest({ files: [{ path: 'Gemfile.lock', sha256: sha256(bytes) }], variables: {} })).toBe(
        digest,
      );
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it.each(publishedVectors())(
    'gives the published vector: $name',
    ({ files, salt, variables = {}, digest }) => {
      const entries = Object.entries(files).map(([path, text]) => ({ path, sha256: sha256(text) }));
      expect(keyDigest({ files: entries, salt, variables })).toBe(digest);
    },
  );

  it('can be had with sha256sum and sort alone, as docs/keys.md shows', () => {
    const dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-key-'));
    try {
      const script =
        "{ sha256sum a/Gemfile.lock Gemfile.lock | LC_ALL=C sort -k 2; printf '%s\\n' CACHE_KEY_SALT=v2 BUNDLE_WITHOUT=test | LC_ALL=C sort; } | sha256sum";
      execFileSync('sh', ['-c', 'mkdir a && echo one > Gemfile.lock && echo two > a/Gemfile.lock'], {
        cwd: dir,
      });
      const [digest] = execFileSync('sh', ['-c', script], { cwd: dir, encoding: 'utf8' }).split(' ');
      const files = [
        { path: 'a/Gemfile.lock', sha256: sha256('two\n') },
        { path: 'Gemfile.lock', sha256: sha256('one\n') },
      ];
      expect(keyDigest({ files, salt: 'v2', variables: { BUNDLE_WITHOUT: 'test' } })).toBe(digest);
    } finally {
      rmSync(dir, { recursive: true });
    }
  });

  it('does not depend on the order in which things come', () => {
    fc.assert(
      fc.property(ingredients, (given) => {
        const reversed = {
          files: given.files.toReversed(),
          salt: given.salt,
          variables: Object.fromEntries(Object.entries(given.variables).toReversed()),
        };
        expect(keyDigest(reversed)).toBe(keyDigest(given));
      }),
    );
  });

  it('sorts by bytes, not by UTF-16 units', () => {
    const files = ['\u{1f48e}.lock', '\uff5e.lock', 'B', 'a'].map((path) => ({ path, sha256: sha256(path) }));
    const order = digestText({ files, variables: {} })!
      .split('\n')
      .map((line) => line.slice(66));
    expect(order).toEqual(['B', 'a', '\uff5e.lock', '\u{1f48e}.lock', '']);
  });

  it('changes with every ingredient', () => {
    const files = [{ path: 'Gemfile.lock', sha256: sha256('') }];
    const all: KeyIngredients[] = [
      { files, variables: {} },
      { files, variables: {}, salt: 'a' },
      { files, variables: {}, salt: 'b' },
      { files, variables: { BUNDLE_WITHOUT: 'test' } },
      { files, variables: { BUNDLE_ONLY: 'test' } },
      { files: [{ path: 'gems.locked', sha256: sha256('') }, ...files], variables: {} },
      { files: [{ path: 'Gemfile.lock', sha256: sha256('x') }], variables: {} },
    ];
    expect(new Set(all.map(keyDigest)).size).toBe(all.length);
  });

  it('takes an empty salt for none', () => {
    const files = [{ path: 'Gemfile.lock', sha256: sha256('x') }];
    expect(keyDigest({ files, variables: {}, salt: '' })).toBe(sha256('x'));
  });
});

describe('entryKey and parseKey', () => {
  const digest = '3f1c9a0b7d2e4f65'.padEnd(64, '0');

  it('write the documented key', () => {
    const parts = { prefix: 'claude-sandbox-cache', recipe: 'bundle', digest, extension: '.tar.gz' } as const;
    expect(entryKey({ ...parts, runtime: 'linux-x64-ruby3.1.0' })).toBe(
      'claude-sandbox-cache/bundle-3f1c9a0b7d2e4f65-linux-x64-ruby3.1.0.tar.gz',
    );
    expect(entryKey(parts)).toBe('claude-sandbox-cache/bundle-3f1c9a0b7d2e4f65.tar.gz');
  });

  it('are each other’s inverse', () => {
    fc.assert(
      fc.property(recipeName, hexDigest, runtime, EXTENSION, (recipe, digest, runtime, extension) => {
        fc.pre(RECIPE_NAME.test(recipe));
        const key = entryKey({ prefix: 'team/cache', recipe, digest, runtime, extension });
        expect(parseKey(key, 'team/cache')).toEqual({
          recipe,
          hash: digest.slice(0, 16),
          runtime: runtime === '' ? undefined : runtime,
          compression: { '.tar.gz': 'gzip', '.tar.zst': 'zstd', '.tar': 'none' }[extension],
        });
      }),
    );
  });

  it('give two different keys to two different entries', () => {
    const parts = fc.record({ recipe: recipeName, digest: hexDigest, runtime, extension: EXTENSION });
    fc.assert(
      fc.property(parts, parts, (a, b) => {
        fc.pre(RECIPE_NAME.test(a.recipe) && RECIPE_NAME.test(b.recipe));
        const same =
          a.recipe === b.recipe &&
          a.digest.slice(0, 16) === b.digest.slice(0, 16) &&
          a.runtime === b.runtime &&
          a.extension === b.extension;
        expect(entryKey({ prefix: 'p', ...a }) === entryKey({ prefix: 'p', ...b })).toBe(same);
      }),
    );
  });

  it.each([
    'bundle-3f1c9a0b7d2e4f65.tar.gz',
    'other/bundle-3f1c9a0b7d2e4f65.tar.gz',
    'p/x/bundle-3f1c9a0b7d2e4f65.tar.gz',
    'p/bundle-3f1c9a0b7d2e4f6.tar.gz',
    'p/bundle-3F1C9A0B7D2E4F65.tar.gz',
    'p/bundle-3f1c9a0b7d2e4f65.zip',
    'p/bundle-3f1c9a0b7d2e4f65.tar.gz.asc',
    'p/bundle-3f1c9a0b7d2e4f65-.tar.gz',
    'p/-3f1c9a0b7d2e4f65.tar.gz',
    'p/Bundle-3f1c9a0b7d2e4f65.tar.gz',
    'p/3f1c9a0b7d2e4f65-3f1c9a0b7d2e4f65.tar.gz',
    'p/README',
    'p/',
  ])('leave other people’s objects alone: %s', (key) => expect(parseKey(key, 'p')).toBeUndefined());
});

describe('keyPrefix', () => {
  it.each([
    ['claude-sandbox-cache', 'claude-sandbox-cache'],
    ['prod/claude-sandbox-cache', 'prod/claude-sandbox-cache'],
    ['/team-platform/cache/', 'team-platform/cache'],
  ])('takes %s', (text, prefix) => expect(keyPrefix(text)).toBe(prefix));

  it.each(['', '/', 'a//b', '../a', 'a/./b', 'a/..', 'a\nb'])('refuses %j', (text) =>
    expect(() => keyPrefix(text)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }) as Error),
  );
});
