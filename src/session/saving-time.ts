/**
 * The signed time of saving, in an entry's metadata. The store's own time cannot be trusted: anyone who may
 * write can change it by copying an old entry onto itself.
 */
import type { CheckSignature, Seal, Sign } from '../archive/types.ts';

const DIGEST = 'sandbox-cache-digest';
const SAVED_AT = 'sandbox-cache-saved';
const SIGNATURE = 'sandbox-cache-saved-signature';

/** @returns nothing without a signing key, because nobody would believe it */
export async function savingMetadata(sign: Sign | undefined, seal: Seal): Promise<Record<string, string>> {
  if (sign === undefined) return {};
  const { savingStatement } = await import('../archive/signature.ts');
  const savedAt = new Date().toISOString();
  const signature = Buffer.from(sign(savingStatement(seal, savedAt)));
  return { [SAVED_AT]: savedAt, [SIGNATURE]: signature.toString('base64') };
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
  const { [DIGEST]: digest = '', [SAVED_AT]: savedAt = '', [SIGNATURE]: signature = '' } = metadata;
  const savedMs = Date.parse(savedAt);
  // No field of a statement may hold a newline.
  if (!/^[0-9a-f]{64}$/.test(digest) || !/^[\d:.TZ-]+$/.test(savedAt)) return undefined;
  if (!digest.startsWith(hash) || Number.isNaN(savedMs)) return undefined;
  const { savingStatement } = await import('../archive/signature.ts');
  try {
    check(savingStatement({ keyDigest: digest, recipe, runtime }, savedAt), Buffer.from(signature, 'base64'));
    return { savedMs, digest };
  } catch {
    return undefined;
  }
}
