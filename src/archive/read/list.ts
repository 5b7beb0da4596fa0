/** Lists what an archive holds, and writes none of it. */
import { createNames, type Names } from './names.ts';
import type { Pool } from '../workers/pool.ts';
import { createMemberReader, symlinkTarget } from './read-member.ts';
import { readThrough, setupOf, type ReadArchive } from './read-through.ts';
import type { ReadEntry } from './tar-entries.ts';
import type { UnpackOptions } from '../types.ts';
import type { ReadContext } from './read-context.ts';
import type { UnpackReply, UnpackSetup } from '../workers/protocol.ts';

/** One entry of an archive, for people and JSON. */
export interface ListedMember {
  path: string;
  type: 'file' | 'directory' | 'hardlink' | 'symlink';
  /** Bytes. 0 for anything that is not a file. */
  size: number;
  /** Permission bits. */
  mode: number;
  /** Milliseconds since 1970. */
  mtimeMs: number;
  /** Where a link leads. */
  linkname?: string;
}

export interface ListOptions extends Omit<UnpackOptions, 'roots' | 'onProgress'> {
  /**
   * Everything must lie under one of these. Undefined for another project's recipe, whose targets are not
   * known here.
   */
  roots?: readonly { prefix: string; dir: string; mayBeFile?: boolean }[];
}

/**
 * Reads a whole archive, one of ours or any tar of that compression. It refuses everything that unpacking
 * would refuse whatever the target is like.
 * @throws CacheError as `unpack` does, except for errors of the target
 */
export async function list(source: AsyncIterable<Uint8Array>, options: ListOptions): Promise<ListedMember[]> {
  const members: ListedMember[] = [];
  const { roots = [] } = options;
  const setup = setupOf({ ...options, roots });
  const names = createNames({
    roots: options.roots === undefined ? undefined : setup.roots,
    maxDirectories: setup.maxFiles,
  });
  const take = (entry: ReadEntry): void => void members.push(listed(entry));
  const finish = async ({ tally }: ReadContext, { isOurs }: ReadArchive): Promise<ListedMember[]> => {
    names.finish({ isOurs, hardlinks: tally.hardlinks, symlinks: tally.symlinks });
    return members;
  };
  return readThrough(createListingPool(setup, names, take), source, { ...options, roots, finish });
}

/** Runs the jobs of unpacking in this thread, one after the other, without writing anything. */
function createListingPool(setup: UnpackSetup, names: Names, take: (entry: ReadEntry) => void): Pool {
  const read = createMemberReader(setup, {
    entry(tar, entry, reply) {
      take(entry);
      const place = names.add(entry);
      if (place !== undefined) account(tar, entry, { ...place, reply });
    },
    piece(_tar, { length }, reply) {
      reply.bytes += length;
    },
  });
  return {
    capacity: 1,
    async run(job) {
      if (job.type !== 'unpack') throw new Error(`no ${job.type} in a listing`);
      return read(job).reply as never;
    },
    async close() {},
  };
}

/** Fills in the reply as unpacking would: the totals need it, and so do the pieces of a large file. */
function account(
  tar: Buffer,
  entry: ReadEntry,
  { target, to, reply }: { target: string; to: string; reply: UnpackReply },
): void {
  const { kind, path, size, mode, mtimeUs, at } = entry;
  if (kind === 'directory') reply.directories.push({ target, mode, mtimeUs });
  else if (kind === 'hardlink') reply.hardlinks.push({ target, to, mtimeUs });
  else if (kind === 'symlink') reply.symlinks.push({ target, to: symlinkTarget(entry), mtimeUs });
  else {
    const written = Math.min(size, tar.length - at);
    reply.bytes += written;
    if (written < size) reply.open = { path, target, size, mode, mtimeUs, written };
  }
}

function listed({ kind, path, linkPath, size, mode, mtimeUs }: ReadEntry): ListedMember {
  return {
    path: text(path),
    type: kind as ListedMember['type'],
    size,
    mode,
    mtimeMs: Math.floor(mtimeUs / 1000),
    ...(linkPath === '' ? {} : { linkname: text(linkPath) }),
  };
}

function text(binary: string): string {
  return Buffer.from(binary, 'latin1').toString('utf8');
}
