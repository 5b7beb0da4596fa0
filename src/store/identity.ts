/**
 * What makes two objects the same. The mark of the save that wrote it comes first: a copy of an object onto
 * itself, to renew it or to change its storage class, gives it another ETag and leaves the mark. The ETag
 * decides where one of the two has no mark: other programs write none, and listings do not tell it.
 */
export interface Identity {
  /** Opaque; equal only for equal objects. */
  etag: string;
  /**
   * A random mark of the save that wrote it. Unknown in listings, for entries that other programs wrote, and
   * in a directory, which copies nothing.
   */
  writeId?: string | undefined;
}

/** Whether it is the object that was named. Every decision about "the same object" is made here. */
export function isSameObject(present: Identity, named: Identity): boolean {
  return present.writeId !== undefined && named.writeId !== undefined
    ? present.writeId === named.writeId
    : present.etag === named.etag;
}
