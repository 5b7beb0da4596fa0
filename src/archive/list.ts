/** What an archive holds, without writing any of it. */
import { createByteReader } from './byte-reader.ts';
import { corrupt, refuse, truncated } from './faults.ts';
import { decompressed } from './foreign.ts';
import { containerFor, type Container } from './format/container.ts';
import { digestOf } from './format/record.ts';
import { createMemory } from './memory.ts';
import { beginsWithFrame, splitArchive } from './split.ts';
import { stoppable } from './stoppable.ts';
import { checkedName } from './paths.ts';
import { contentLength, nextEntry, type ReadEntry, type ReadOptions } from './tar-entries.ts';
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
  const mayEndBare = !sealed && compression !== 'none';
  yield* entriesOf(measured(tar), { checksums: !sealed, ...limits, mayEndBare });
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
async function* entriesOf(
  slices: AsyncIterable<Buffer>,
  options: ReadOptions & { mayEndBare: boolean },
): AsyncGenerator<ListedMember> {
  let rest = Buffer.alloc(0);
  let skip = 0;
  let ended = false;
  let isEmpty = true;
  const names = createNames({ isOurs: !options.checksums });
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
      isEmpty = false;
      const { kind, path, linkPath, size, mode, mtimeUs } = entry;
      if (kind === 'global') continue;
      names.add(entry);
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
  const endsBare = options.mayEndBare && !isEmpty && skip === 0 && rest.length === 0;
  if (!ended && !endsBare) throw truncated('before the end of its tar');
}

/** Which names there are, held against what a restore refuses of them. Where they belong, the recipe knows alone. */
function createNames({ isOurs }: { isOurs: boolean }) {
  const kinds = new Map<string, 'directory' | 'implied' | 'other'>();
  return {
    /** @throws CacheError ARCHIVE_REFUSED, ARCHIVE_LIMIT */
    add({ kind, path, linkPath }: ReadEntry): void {
      const name = checkedName(path);
      if (kind === 'hardlink') checkedName(linkPath);
      const known = kinds.get(name);
      const isDirectory = kind === 'directory';
      const isAgain = known === 'other' || !isDirectory || (isOurs && known === 'directory');
      if (known !== undefined && isAgain)
        throw refuse(
          path,
          (known === 'other') === isDirectory ? 'is both a file and a directory' : 'is there twice',
        );
      kinds.set(name, isDirectory ? 'directory' : 'other');
      for (let cut = name.lastIndexOf('/'); cut > 0; cut = name.lastIndexOf('/', cut - 1)) {
        const above = name.slice(0, cut);
        if (kinds.get(above) === 'other') throw refuse(path, 'is both a file and a directory');
        if (kinds.has(above)) break;
        kinds.set(above, 'implied');
      }
    },
  };
}

function text(binary: string): string {
  return Buffer.from(binary, 'latin1').toString('utf8');
}
