/**
 * A save after an install on a base: members of the archive that the base holds too need not be sent, if the
 * store can copy them. They are told by their digests, which the restore of the base has checked.
 */
import type { StoredMember } from '../../archive/types.ts';
import type { Copies } from '../../store/store.ts';

/** A base that was restored: the entry, and where its members lie in it. */
export interface StoredBase {
  from: Copies['from'];
  members: readonly StoredMember[];
}

export interface CopyPlan extends Copies {
  /** To be called with each member of the new archive before it is written. */
  note(chunk: Uint8Array, digest: Uint8Array): void;
}

export function copiesFrom({ from, members }: StoredBase): CopyPlan {
  const places = new Map(members.map((member) => [hex(member.digest), member]));
  const offsets = new WeakMap<Uint8Array, number>();
  return {
    from,
    offsetOf: (chunk) => offsets.get(chunk),
    note(chunk, digest) {
      const place = places.get(hex(digest));
      if (place?.length === chunk.length) offsets.set(chunk, place.offset);
    },
  };
}

function hex(digest: Uint8Array): string {
  return Buffer.from(digest).toString('hex');
}
