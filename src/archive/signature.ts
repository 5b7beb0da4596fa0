/**
 * The seal ties an archive to what it is an entry for, and the signature ties both to somebody's key. What is
 * signed is a short text, so that any Ed25519 tool can check it; docs/archive-format.md shows how.
 *
 * | archive | restorer without a key | restorer with the signer's key | restorer with another key |
 * | --- | --- | --- | --- |
 * | unsigned | accepted | refused | refused |
 * | signed | accepted (digests only) | accepted | refused |
 */
import { generateKeyPairSync, sign, verify } from 'node:crypto';
import { CacheError } from '../errors.ts';
import { keyId, parseSigningKey, parseVerifyKey } from './signing-keys.ts';
import type { CheckSignature, Seal, Sign } from './types.ts';

/** What is signed: every line is one field, and no field can hold a line's end. */
export function statement(seal: Omit<Seal, 'installSeconds'>, rootDigest: Uint8Array): Buffer {
  const root = Buffer.from(rootDigest).toString('hex');
  return Buffer.from(
    ['sandbox-cache entry v1', root, seal.keyDigest, seal.recipe, seal.runtime, ''].join('\n'),
  );
}

/**
 * What is signed beside an entry: when it was saved, so that an old entry cannot be passed off as the newest.
 * @param savedAt ISO 8601, e.g. `2026-11-26T01:16:41.000Z`
 */
export function savingStatement(
  { keyDigest, recipe, runtime }: Omit<Seal, 'installSeconds'>,
  savedAt: string,
): Buffer {
  return Buffer.from(['sandbox-cache saving v1', savedAt, keyDigest, recipe, runtime, ''].join('\n'));
}

/**
 * What is signed so that an entry can be the base of an install: see session/base/lineage.ts.
 * @param lineage as it stands in the metadata
 */
export function lineageStatement(
  { keyDigest, recipe, runtime }: Omit<Seal, 'installSeconds'>,
  lineage: string,
): Buffer {
  return Buffer.from(['sandbox-cache lineage v1', lineage, keyDigest, recipe, runtime, ''].join('\n'));
}

/**
 * @param pem an Ed25519 private key (PKCS #8)
 * @throws CacheError CONFIG_INVALID naming CACHE_SIGNING_KEY
 */
export function createSigner(pem: string): Sign {
  const key = parseSigningKey(pem);
  return (bytes) => sign(null, bytes, key);
}

/**
 * @param pem an Ed25519 public key (SPKI)
 * @throws CacheError CONFIG_INVALID naming CACHE_VERIFY_KEY
 */
export function createChecker(pem: string): CheckSignature {
  const key = parseVerifyKey(pem);
  return (bytes, signature) => {
    if (signature === undefined)
      throw new CacheError(
        'ARCHIVE_UNTRUSTED',
        'The entry is not signed, and CACHE_VERIFY_KEY asks for a signature',
        {
          hint: 'Save it again with CACHE_SIGNING_KEY set, or unset CACHE_VERIFY_KEY.',
        },
      );
    if (!verify(null, bytes, key, signature))
      throw new CacheError('ARCHIVE_UNTRUSTED', 'The entry is not signed by the key in CACHE_VERIFY_KEY', {
        hint: 'Find out who may write to the bucket, then save it again with the right CACHE_SIGNING_KEY.',
      });
  };
}

/** Whether the one verifies what the other signs. @throws CacheError CONFIG_INVALID as the two above */
export function isPair({ signingKey, verifyKey }: { signingKey: string; verifyKey: string }): boolean {
  return keyId(parseSigningKey(signingKey)) === keyId(parseVerifyKey(verifyKey));
}

/** A new pair for CACHE_SIGNING_KEY and CACHE_VERIFY_KEY, PEM. */
export function generateKeys(): { signingKey: string; verifyKey: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ed25519');
  return {
    signingKey: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
    verifyKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
  };
}
