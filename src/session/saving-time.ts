/**
 * The signed time of saving, in an entry's metadata. The store's own time cannot be trusted: anyone who may
 * write can change it by copying an old entry onto itself.
 */
import type { CheckSignature, Seal, Sign } from '../archive/types.ts';
import { digestIn } from './digest-metadata.ts';
import { isSigned, signatureOf } from './signing.ts';

const SAVED_AT = 'sandbox-cache-saved';
const SIGNATURE = 'sandbox-cache-saved-signature';

/** @returns nothing without a signing key, because nobody would believe it */
export async function savingMetadata(sign: Sign | undefined, seal: Seal): Promise<Record<string, string>> {
  if (sign === undefined) return {};
  const { savingStatement } = await import('../archive/signature.ts');
  const savedAt = new Date().toISOString();
  return { [SAVED_AT]: savedAt, [SIGNATURE]: signatureOf(savingStatement(seal, savedAt), sign) };
}

export interface Saving {
  /** Milliseconds since 1970, by the saver's clock. */
  savedMs: number;
  /** The whole digest, whose beginning is the key's hash. */
  digest: string;
}

/** @returns undefined if the key has not signed it for exactly this entry */
export async function signedSaving(
  metadata: Readonly<Record<string, string>>,
  { hash, recipe, runtime }: { hash: string; recipe: string; runtime: string },
  check: CheckSignature,
): Promise<Saving | undefined> {
  const { [SAVED_AT]: savedAt = '', [SIGNATURE]: signature = '' } = metadata;
  const digest = digestIn(metadata, hash);
  const savedMs = Date.parse(savedAt);
  // No field of a statement may hold a newline.
  if (digest === undefined || !/^[\d:.TZ-]+$/.test(savedAt) || Number.isNaN(savedMs)) return undefined;
  const { savingStatement } = await import('../archive/signature.ts');
  const statement = savingStatement({ keyDigest: digest, recipe, runtime }, savedAt);
  return isSigned(statement, signature, check) ? { savedMs, digest } : undefined;
}
