/** The whole digest that an entry was made for, in its metadata. Its key has only the first 16 digits. */
const DIGEST = 'sandbox-cache-digest';

export function digestMetadata(digest: string): Record<string, string> {
  return { [DIGEST]: digest };
}

/**
 * @param hash the one in the entry's key
 * @returns undefined where there is none, or one that does not belong to the key
 */
export function digestIn(metadata: Readonly<Record<string, string>>, hash: string): string | undefined {
  const { [DIGEST]: digest = '' } = metadata;
  // No field of a statement that is signed may hold a newline.
  return /^[0-9a-f]{64}$/.test(digest) && digest.startsWith(hash) ? digest : undefined;
}
