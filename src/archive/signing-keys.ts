/**
 * Keys of entries' signatures: Ed25519, PEM. Apart from signature.ts, because every start with
 * CACHE_VERIFY_KEY needs their names.
 */
import { createHash, createPrivateKey, createPublicKey, type KeyObject } from 'node:crypto';
import { CacheError } from '../errors.ts';

/**
 * @param pem PKCS #8
 * @throws CacheError CONFIG_INVALID naming CACHE_SIGNING_KEY
 */
export function parseSigningKey(pem: string): KeyObject {
  return parseKey(pem, 'CACHE_SIGNING_KEY', 'private', createPrivateKey);
}

/**
 * @param pem SPKI
 * @throws CacheError CONFIG_INVALID naming CACHE_VERIFY_KEY
 */
export function parseVerifyKey(pem: string): KeyObject {
  if (/PRIVATE KEY/.test(pem)) throw wrongKey('CACHE_VERIFY_KEY', 'public');
  return parseKey(pem, 'CACHE_VERIFY_KEY', 'public', createPublicKey);
}

/** The same for both halves of a pair: SHA-256 of the public one (SPKI, DER), 64 hex digits. */
export function keyId(key: KeyObject): string {
  const half = key.type === 'private' ? createPublicKey(key) : key;
  return createHash('sha256')
    .update(half.export({ type: 'spki', format: 'der' }))
    .digest('hex');
}

function parseKey(
  pem: string,
  variable: string,
  kind: 'private' | 'public',
  parse: (pem: string) => KeyObject,
): KeyObject {
  let key: KeyObject;
  try {
    key = parse(pem);
  } catch {
    // The cause may quote what it could not parse: it stays out.
    throw wrongKey(variable, kind);
  }
  if (key.asymmetricKeyType !== 'ed25519') throw wrongKey(variable, kind);
  return key;
}

function wrongKey(variable: string, kind: string): CacheError {
  return new CacheError('CONFIG_INVALID', `${variable} is not an Ed25519 ${kind} key in PEM`, {
    hint: 'sandbox-cache keygen makes a pair.',
  });
}
