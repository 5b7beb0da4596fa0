/** What an archive holds, without writing any of it. */
import { createByteReader } from './byte-reader.ts';
import { corrupt, truncated } from './faults.ts';
import { decompressed } from './foreign.ts';
import { containerFor, type Container } from './format/container.ts';
import { digestOf } from './format/record.ts';
import { createMemory } from './memory.ts';
import { beginsWithFrame, splitArchive } from './split.ts';
import { stoppable } from './stoppable.ts';
import { contentLength, nextEntry, type ReadOptions } from './tar-entries.ts';
import { createTally } from './tally.ts';
import type { Compression, Limits } from './types.ts';

/** One entry of an archive, for people and JSON. */
export interface ListedMember {
  path: string;
  type: 'file' | 'directory' | 'hardlink' | 'symlink';
  /** Bytes; 0 for all but files. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Milliseconds since 1970. */
  mtimeMs: number;
  /** Where a link leads. */
  linkname?: string;
}

export interface ListOptions {
  compression: Compression;
  limits: Limits;
  signal: AbortSignal;
}

/**
 * Reads an archive through, one of ours or any tar of that compression, and checks the digests of our own members.
 * @throws CacheError ARCHIVE_CORRUPT, ARCHIVE_TRUNCATED, ARCHIVE_REFUSED, ARCHIVE_LIMIT, CONFIG_INVALID; the signal's reason
 */
export async function* list(
  source: AsyncIterable<Uint8Array>,
  { compression, limits, signal }: ListOptions,
): AsyncGenerator<ListedMember, void, void> {
  const container = containerFor(compression);
  const memory = createMemory(1);
  const reader = createByteReader(stoppable(source, signal), memory);
  const tally = createTally(limits);
  const sealed = await beginsWithFrame(reader, container);
  let tarBytes = 0;
  async function* measured(slices: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
    for await (const slice of slices) {
      tally.checkRatio((tarBytes += slice.length), reader.position);
      yield slice;
    }
  }
  const tar = sealed
    ? memberTars(splitArchive(reader, container), container)
    : decompressed(reader.chunks(), compression);
  yield* entriesOf(measured(tar), { checksums: !sealed, ...limits });
}

/** The tar of one member after the other. */
async function* memberTars(
  parts: ReturnType<typeof splitArchive>,
  container: Container,
): AsyncGenerator<Buffer> {
  for await (const part of parts) {
    if (part.kind !== 'member') continue;
    const { bytes, record, frameLength, tarLength } = part;
    const digest = digestOf(record, bytes.subarray(frameLength));
    if (frameLength > 0 && !digest.equals(record.subarray(2, 34)))
      throw corrupt('a member whose SHA-256 is wrong');
    yield container.decompress(bytes, frameLength, tarLength);
  }
}

/** Headers are kept until they are whole; content is passed over. */
async function* entriesOf(slices: AsyncIterable<Buffer>, options: ReadOptions): AsyncGenerator<ListedMember> {
  let rest = Buffer.alloc(0);
  let skip = 0;
  let ended = false;
  for await (const slice of slices) {
    if (ended) continue;
    const passed = Math.min(skip, slice.length);
    skip -= passed;
    const tar = rest.length === 0 ? slice.subarray(passed) : Buffer.concat([rest, slice.subarray(passed)]);
    let at = 0;
    while (at < tar.length) {
      const entry = nextEntry(tar, at, tar.length, options);
      if (typeof entry === 'number') break;
      if (entry === undefined) {
        ended = true;
        break;
      }
      at = entry.at + contentLength(entry);
      const { kind, path, linkPath, size, mode, mtimeUs } = entry;
      if (kind === 'global') continue;
      const linkname = linkPath === '' ? {} : { linkname: text(linkPath) };
      yield {
        path: text(path),
        type: kind,
        size,
        mode,
        mtimeMs: Math.floor(mtimeUs / 1000),
        ...linkname,
      };
    }
    skip += Math.max(0, at - tar.length);
    rest = at < tar.length && !ended ? Buffer.from(tar.subarray(at)) : Buffer.alloc(0);
  }
  if (!ended) throw truncated('before the end of its tar');
}

function text(binary: string): string {
  return Buffer.from(binary, 'latin1').toString('utf8');
}
