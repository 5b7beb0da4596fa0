/** Ways for an archive to go wrong between being written and being read. */
import { createByteReader } from '../../src/archive/read/byte-reader.ts';
import { createMemory } from '../../src/archive/workers/buffer-pool.ts';
import { splitArchive } from '../../src/archive/read/split-archive.ts';
import type { Compression } from '../../src/archive/types.ts';
import type { RandomSource } from '../support/tree.ts';
import { containerFor } from '../../src/archive/format/containers.ts';

export const DAMAGES = [
  'a bit flipped',
  'a byte changed',
  'its end missing',
  'a member missing',
  'a member twice',
  'two members swapped',
  'bytes added',
  'bytes missing',
] as const;
export type Damage = (typeof DAMAGES)[number];

/** @param parts members, index and trailer */
export function damage(
  parts: readonly Buffer[],
  kind: Damage,
  random: RandomSource,
): { bytes: Buffer; what: string } {
  const whole = Buffer.concat(parts);
  const at = random.below(whole.length);
  const n = random.below(parts.length);
  const describe = (bytes: Buffer, place: string): { bytes: Buffer; what: string } => ({
    bytes,
    what: `${kind}: ${place}`,
  });
  switch (kind) {
    case 'a bit flipped':
      whole[at]! ^= 1 << random.below(8);
      return describe(whole, String(at));
    case 'a byte changed':
      whole[at]! ^= 1 + random.below(255);
      return describe(whole, String(at));
    case 'its end missing':
      return describe(whole.subarray(0, at), String(at));
    case 'a member missing':
      return describe(Buffer.concat(parts.filter((_, i) => i !== n)), String(n));
    case 'a member twice':
      return describe(Buffer.concat([...parts.slice(0, n + 1), ...parts.slice(n)]), String(n));
    case 'two members swapped': {
      const other = (n + 1 + random.below(parts.length - 1)) % parts.length;
      const swapped = parts.map((part, i) => (i === n ? parts[other]! : i === other ? parts[n]! : part));
      // Pieces of a plain file may be equal.
      return parts[n]!.equals(parts[other]!)
        ? damage(parts, kind, random)
        : describe(Buffer.concat(swapped), `${n}, ${other}`);
    }
    case 'bytes added': {
      const added = random.bytes(1 + random.below(1000));
      return describe(
        Buffer.concat([whole.subarray(0, at), added, whole.subarray(at)]),
        `${added.length} at ${at}`,
      );
    }
    case 'bytes missing': {
      const count = 1 + random.below(1000);
      return describe(
        Buffer.concat([whole.subarray(0, at), whole.subarray(at + count)]),
        `${count} at ${at}`,
      );
    }
  }
}

/** Members, index and trailer of an archive of ours, as `damage` takes them. */
export async function partsOf(archive: Buffer, compression: Compression): Promise<Buffer[]> {
  async function* source(): AsyncGenerator<Uint8Array> {
    yield archive;
  }
  const reader = createByteReader(source(), createMemory(1));
  const ends: number[] = [];
  for await (const _part of splitArchive(reader, containerFor(compression))) ends.push(reader.position);
  return ends.map((end, n) => archive.subarray(ends[n - 1] ?? 0, end));
}
