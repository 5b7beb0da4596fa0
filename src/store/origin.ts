/** What a copy of an entry says of its original. It travels with the copy, among its metadata. */
import { isSameObject, type Identity } from './identity.ts';
import type { EntryInfo } from './store.ts';

export interface Origin {
  etag: string | undefined;
  writeId: string | undefined;
}

const ETAG = 'origin-etag';
const WRITE_ID = 'origin-write-id';

export function originMetadata({ etag, writeId }: Identity): Record<string, string> {
  return { [ETAG]: etag, ...(writeId === undefined ? {} : { [WRITE_ID]: writeId }) };
}

/** Takes a copy's metadata apart: what it says of the original, and what the original says of itself. */
export function splitMetadata(all: Record<string, string>): {
  origin: Origin;
  metadata: Record<string, string>;
} {
  const { [ETAG]: etag, [WRITE_ID]: writeId, ...metadata } = all;
  return { origin: { etag, writeId }, metadata };
}

/** Whether a copy of this origin and size is one of the object found. */
export function isCopyOf(found: EntryInfo, { etag, writeId, size }: Origin & { size: number }): boolean {
  // No object has an empty ETag.
  return found.size === size && isSameObject(found, { etag: etag ?? '', writeId });
}
