/** What an archive of ours consists of, for tests that compare two. */
import type { Compression } from '../../src/archive/types.ts';
import { containerFor } from '../../src/archive/format/containers.ts';
import { decodeRecord, type IndexedMember } from '../../src/archive/format/record.ts';

/** Every member as the index lists it. */
export function indexOf(bytes: Buffer, compression: Compression): IndexedMember[] {
  const container = containerFor(compression);
  const trailerAt = bytes.length - container.trailerFrameLength;
  const trailer = recordAt(trailerAt);
  if (trailer.record.kind !== 'trailer') throw new Error('no trailer');
  const members: IndexedMember[] = [];
  for (let at = trailer.record.indexOffset; at < trailerAt;) {
    const { record, length } = recordAt(at);
    if (record.kind !== 'index') throw new Error(`a ${record.kind} in the index`);
    members.push(...record.members);
    at += length;
  }
  return members;

  function recordAt(at: number) {
    const frame = container.decodeFrame(bytes.subarray(at));
    if (typeof frame !== 'object') throw new Error(`no record at ${at}`);
    return { record: decodeRecord(frame.record), length: frame.frameLength };
  }
}

/** Members of the second that the first does not have. */
export function newMembers(
  first: readonly IndexedMember[],
  second: readonly IndexedMember[],
): IndexedMember[] {
  const known = new Set(first.map(({ digest }) => Buffer.from(digest).toString('hex')));
  return second.filter(({ digest }) => !known.has(Buffer.from(digest).toString('hex')));
}
