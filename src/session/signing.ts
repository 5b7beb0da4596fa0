/**
 * Signing and checking signatures. With CACHE_VERIFY_KEY only signed entries are used. So nothing is written
 * unsigned either: it would only be in the way of entries that others can use.
 */
import type { CheckSignature, Sign } from '../archive/types.ts';
import type { Config } from '../config/config.ts';
import { CacheError } from '../errors.ts';

/**
 * Signs with CACHE_SIGNING_KEY; undefined without one.
 * @throws CacheError CONFIG_INVALID for a malformed key, or one that does not form a pair with
 *   CACHE_VERIFY_KEY
 */
export async function signer({ signingKey, verifyKey }: Config): Promise<Sign | undefined> {
  if (signingKey === undefined) return undefined;
  const { createSigner, isPair } = await import('../archive/signature.ts');
  const sign = createSigner(signingKey);
  if (verifyKey === undefined || isPair({ signingKey, verifyKey })) return sign;
  throw new CacheError(
    'CONFIG_INVALID',
    'CACHE_SIGNING_KEY does not belong to CACHE_VERIFY_KEY: what it signs would be refused here',
    { hint: 'Take both from one run of sandbox-cache keygen, or unset one of them.' },
  );
}

/** The signature of a statement as metadata has it: Base64. */
export function signatureOf(statement: Uint8Array, sign: Sign): string {
  return Buffer.from(sign(statement)).toString('base64');
}

/** Whether a text of metadata is the signature of a statement. */
export function isSigned(statement: Uint8Array, signature: string, check: CheckSignature): boolean {
  try {
    check(statement, Buffer.from(signature, 'base64'));
    return true;
  } catch {
    return false;
  }
}

/** Checks signatures against CACHE_VERIFY_KEY; undefined without one. @throws CacheError CONFIG_INVALID */
export async function checker({ verifyKey }: Config): Promise<CheckSignature | undefined> {
  if (verifyKey === undefined) return undefined;
  return (await import('../archive/signature.ts')).createChecker(verifyKey);
}
