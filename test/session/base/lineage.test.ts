import { describe, expect, it } from 'vitest';
import { createChecker, createSigner, generateKeys } from '../../../src/archive/signature.ts';
import { CacheError } from '../../../src/errors.ts';
import type { Recipe } from '../../../src/recipes/support/recipe.ts';
import { digestWith, lineageMetadata, othersDigest, readLineage } from '../../../src/session/base/lineage.ts';
import type { Subject } from '../../../src/session/identify.ts';
import { keyDigest } from '../../../src/key.ts';

const files = [{ path: 'package-lock.json', sha256: '1'.repeat(64) }];
const patch = { path: 'patches/a+1.0.0.patch', sha256: '2'.repeat(64) };
const about = { keyDigest: '3'.repeat(64), recipe: 'npm', runtime: 'linux-x64-node115' };
const recipe = {
  incremental: async () => ({ packages: () => ['a 1', 'b 1'] }),
} as unknown as Recipe;
const subject = {
  recipe,
  project: { dir: '/', lockfile: 'package-lock.json', env: {} },
  ingredients: { files, variables: {} },
} as unknown as Subject;

describe('the digest of what goes into a key beside the lockfile', () => {
  it('is the same for another lockfile, and another for anything else', () => {
    const plain = othersDigest({ files, variables: {} });
    const bumped = [{ ...files[0]!, sha256: '9'.repeat(64) }];
    expect(othersDigest({ files: bumped, variables: {} })).toBe(plain);
    const others = [
      othersDigest({ files, variables: { NODE_ENV: 'production' } }),
      othersDigest({ files, salt: 'x', variables: {} }),
      othersDigest({ files: [...files, patch], variables: {} }),
      othersDigest({ files: [...files, { ...patch, sha256: '4'.repeat(64) }], variables: {} }),
    ];
    expect(new Set([plain, ...others]).size).toBe(5);
  });

  it('and the lockfile’s own make the key', () => {
    const ingredients = { files: [...files, patch], salt: 'x', variables: { A: 'b' } };
    const bumped = { ...ingredients, files: [{ ...files[0]!, sha256: '9'.repeat(64) }, patch] };
    expect(digestWith(ingredients, '9'.repeat(64))).toBe(keyDigest(bumped));
    expect(digestWith({ files, variables: {} }, '9'.repeat(64))).toBe('9'.repeat(64));
  });
});

describe('the lineage in an entry’s metadata', () => {
  const keys = generateKeys();
  const sign = createSigner(keys.signingKey);
  const check = createChecker(keys.verifyKey);

  it('is read back, unsigned and signed', async () => {
    const unsigned = await lineageMetadata(subject, { steps: 3, sign: undefined, seal: about });
    expect(await readLineage(unsigned, about, undefined)).toMatchObject({ steps: 3 });
    const signed = await lineageMetadata(subject, { steps: 4, sign, seal: about });
    expect(await readLineage(signed, about, check)).toMatchObject({
      steps: 4,
      others: othersDigest(subject.ingredients),
    });
  });

  it('is none where an install cannot build on the tree', async () => {
    const unfit = { ...subject, recipe: { incremental: async () => ({ packages: () => undefined }) } };
    const custom = { ...subject, recipe: {} };
    for (const one of [unfit, custom])
      expect(
        await lineageMetadata(one as unknown as Subject, { steps: 0, sign: undefined, seal: about }),
      ).toEqual({});
  });

  it('does not count unsigned, or signed for something else, where signatures are asked for', async () => {
    const unsigned = await lineageMetadata(subject, { steps: 3, sign: undefined, seal: about });
    expect(await readLineage(unsigned, about, check)).toBeUndefined();
    const signed = await lineageMetadata(subject, { steps: 4, sign, seal: about });
    for (const other of [{ keyDigest: '5'.repeat(64) }, { recipe: 'bundle' }, { runtime: 'darwin' }])
      expect(await readLineage(signed, { ...about, ...other }, check)).toBeUndefined();
    const name = 'sandbox-cache-lineage';
    const changed = { ...signed, [name]: signed[name]!.replace(/^1 4/, '1 0') };
    expect(await readLineage(changed, about, check)).toBeUndefined();
  });

  it.each(['', '2 0 0123456789abcdef AAAA', '1 x 0123456789abcdef AAAA', '1 0 0123456789abcdef AAAA'])(
    '%j is none',
    async (text) => {
      expect(await readLineage({ 'sandbox-cache-lineage': text }, about, undefined)).toBeUndefined();
    },
  );

  it('is no error of the program where the signature is no signature', async () => {
    const signed = await lineageMetadata(subject, { steps: 4, sign, seal: about });
    const broken = { ...signed, 'sandbox-cache-lineage-signature': '***' };
    expect(await readLineage(broken, about, check)).toBeUndefined();
    expect(() => check(Buffer.from('x'), Buffer.from('y'))).toThrow(CacheError);
  });
});
