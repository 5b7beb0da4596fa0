/**
 * Who may write, and whom to believe. With CACHE_VERIFY_KEY nothing is used that is not signed for it, and so
 * nothing is written that could not be: it would only stand in the way of what others can use.
 */
import type { CheckSignature, Sign } from '../archive/types.ts';
import type { Config } from '../config/config.ts';
import { CacheError } from '../errors.ts';

/**
 * Signs with CACHE_SIGNING_KEY; undefined without one.
 * @throws CacheError CONFIG_INVALID for a key that is none, or not of one pair with CACHE_VERIFY_KEY
 */
export async function signer({ signingKey, verifyKey }: Config): Promise<Sign | undefined> {
  if (signingKey === undefined) return undefined;
  const { createSigner, isPair } = await import('../archive/signature.ts');
  const sign = createSigner(signingKey);
  if (verifyKey === undefined || isPair({ signingKey, verifyKey })) return sign;
  throw new CacheError(
    'CONFIG_INVALID',
    'CACHE_SIGNING_KEY does not belong to CACHE_VERIFY_KEY: what it signs would be refused here',
    { hint: 'Take both from one run of sandbox-cache keygen, or unset one of them' },
  );
}

/** Checks signatures against CACHE_VERIFY_KEY; undefined without one. @throws CacheError CONFIG_INVALID */
export async function checker({ verifyKey }: Config): Promise<CheckSignature | undefined> {
  if (verifyKey === undefined) return undefined;
  return (await import('../archive/signature.ts')).createChecker(verifyKey);
}
