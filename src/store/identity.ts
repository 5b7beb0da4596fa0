/**
 * Decides whether two objects are the same. If both have a write id, that decides: when an object is copied
 * onto itself, to renew it or to change its storage class, its ETag changes and its write id stays. Otherwise
 * the ETag decides. Other programs write no write id, and listings do not show it.
 */
export interface Identity {
  /** Opaque; equal only for equal objects. */
  etag: string;
  /**
   * A random id of the save that wrote it. Unknown in listings, for entries of other programs, and in a
   * directory, where nothing is copied onto itself.
   */
  writeId?: string | undefined;
}

/** Whether it is the object that was named. Every decision about "the same object" is made here. */
export function isSameObject(present: Identity, named: Identity): boolean {
  return present.writeId !== undefined && named.writeId !== undefined
    ? present.writeId === named.writeId
    : present.etag === named.etag;
}
