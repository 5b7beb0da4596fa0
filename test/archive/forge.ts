/**
 * Archives of our own format made from any tar bytes, member by member, every digest right: what an attacker who can compute
 * SHA-256 would upload. Small members on purpose, so that little input has many of them.
 */
import { createHash } from 'node:crypto';
import { lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import {
  encodeRecord,
  withDigest,
  type IndexedMember,
  type Piece,
  type TrailerRecord,
} from '../../src/archive/format/record.ts';
import {
  encodeHeader,
  headerLength,
  paddedLength,
  type TarEntry,
} from '../../src/archive/format/tar-header.ts';
import { contentLength, nextEntry } from '../../src/archive/read/tar-entries.ts';
import type { Compression } from '../../src/archive/types.ts';
import { containerFor } from '../../src/archive/format/containers.ts';

export interface ForgedMember {
  tar: Buffer;
  /** Entries that begin in it. */
  entries: number;
  firstPath: string;
  /** Makes it a piece of a file. */
  piece?: Piece;
  /** The first of the pieces that follow, where they have no frames of their own (`none`). */
  open?: { piece: Piece; pieceLength: number };
}

export interface ForgeOptions {
  compression: Compression;
  /** Changes what the trailer says; its digest is right whatever it says. */
  trailer?: (trailer: Omit<TrailerRecord, 'digest' | 'kind'>) => Partial<TrailerRecord>;
  /** Changes what the index says. */
  index?: (members: IndexedMember[]) => IndexedMember[];
  /** Puts an index of the first so many members behind them, and that of the others at the end. */
  indexAfter?: number;
}

export const FORGED_KEY = 'ab'.repeat(32);

/** The archive in its parts: one buffer a member, then index and trailer. */
export function forgeParts(members: readonly ForgedMember[], options: ForgeOptions): Buffer[] {
  const container = containerFor(options.compression);
  const listed: IndexedMember[] = [];
  const parts: Buffer[] = [];
  const indexes: Buffer[] = [];
  let indexOffset: number | undefined;
  const lengthSoFar = (): number => parts.reduce((sum, part) => sum + part.length, 0);
  const pushIndex = (first: number, listedNow: IndexedMember[]): void => {
    indexOffset ??= lengthSoFar();
    const record = withDigest(encodeRecord({ kind: 'index', first, members: listedNow }));
    indexes.push(record);
    parts.push(container.encodeFrame(record));
  };
  for (const { tar, piece, open, firstPath } of members) {
    if (options.indexAfter === listed.length) pushIndex(0, listed.slice());
    const body = Buffer.from(container.compress(tar, 1));
    const lengths = { storedLength: body.length, tarLength: tar.length };
    const record = withDigest(
      encodeRecord(
        piece !== undefined
          ? { kind: 'continuation', ...lengths, piece }
          : open !== undefined && options.compression === 'none'
            ? { kind: 'open', ...lengths, ...open }
            : { kind: 'data', ...lengths },
      ),
      body,
    );
    const frame =
      piece !== undefined && options.compression === 'none' ? Buffer.alloc(0) : container.encodeFrame(record);
    listed.push({
      frameLength: frame.length,
      ...lengths,
      digest: Buffer.from(record.subarray(2, 34)),
      firstPath: Buffer.from(firstPath, 'latin1'),
    });
    parts.push(Buffer.concat([frame, body]));
  }

  const said = options.index?.(listed) ?? listed;
  for (let first = options.indexAfter ?? 0; first < said.length; first += 400)
    pushIndex(first, said.slice(first, first + 400));
  const root = createHash('sha256');
  for (const { digest } of listed) root.update(digest);
  for (const record of indexes) root.update(record);
  const trailer = {
    members: listed.length,
    tarBytes: members.reduce((sum, { tar }) => sum + tar.length, 0),
    entries: members.reduce((sum, { entries }) => sum + entries, 0),
    indexOffset: indexOffset ?? lengthSoFar(),
    rootDigest: root.digest(),
    keyDigest: Buffer.from(FORGED_KEY, 'hex'),
    installMs: 1500,
    recipe: 'npm',
    runtime: 'linux-x64-node115',
    signature: undefined,
  };
  const record = encodeRecord({ kind: 'trailer', ...trailer, ...options.trailer?.(trailer) });
  parts.push(container.encodeFrame(withDigest(record)));
  return parts;
}

export function forge(members: readonly ForgedMember[], options: ForgeOptions): Buffer {
  return Buffer.concat(forgeParts(members, options));
}

/** Any tar as one member, its end as another. */
export function asMembers(tar: Buffer, entries: number, firstPath: string): ForgedMember[] {
  const END = 1024;
  return [
    { tar: tar.subarray(0, tar.length - END), entries, firstPath },
    { tar: tar.subarray(tar.length - END), entries: 0, firstPath: '' },
  ];
}

/** What index and trailer say of a member's entries, as far as those can be read: the rest is the unpacker's to find. */
export function readableEntries(tar: Buffer): { entries: number; firstPath: string } {
  const names: string[] = [];
  try {
    for (let at = 0; ;) {
      const entry = nextEntry(tar, at, tar.length, { checksums: false, maxPathBytes: 1e6, maxBytes: 64e9 });
      if (typeof entry !== 'object') break;
      if (entry.kind !== 'global') names.push(entry.path);
      at = entry.at + contentLength(entry);
    }
  } catch {
    // Refused when it is unpacked, too.
  }
  // An index has no room for longer ones.
  return { entries: names.length, firstPath: (names[0] ?? '').slice(0, 10_000) };
}

/** A directory tree in members of `memberLength` bytes of tar, a multiple of 512; larger files in pieces. */
export function treeMembers(base: string, root: string, memberLength: number): ForgedMember[] {
  const members: ForgedMember[] = [];
  let tars: Buffer[] = [];
  let length = 0;
  let entries = 0;
  let firstPath = '';
  const close = (open?: ForgedMember['open']): void => {
    if (length > 0) members.push({ tar: Buffer.concat(tars), entries, firstPath, ...(open && { open }) });
    [tars, length, entries, firstPath] = [[], 0, 0, ''];
  };
  for (const { entry, data } of treeEntries(base, root)) {
    const header = Buffer.alloc(headerLength(entry));
    encodeHeader(header, 0, entry);
    const whole = Buffer.concat([data, Buffer.alloc(paddedLength(data.length) - data.length)]);
    const large = header.length + whole.length > memberLength;
    const needs = large ? header.length + 512 : header.length + whole.length;
    if (length + needs > memberLength) close();
    const room = large ? Math.max(512, memberLength - length - header.length) : whole.length;
    if (entries++ === 0) firstPath = entry.path;
    tars.push(header, whole.subarray(0, room));
    length += header.length + room;
    if (!large) continue;
    const pieceAt = (offset: number): Piece => ({
      path: Buffer.from(entry.path, 'latin1'),
      offset,
      size: entry.size,
      mode: entry.mode,
      mtimeUs: entry.mtimeUs,
    });
    const more = room < whole.length;
    close(more ? { piece: pieceAt(room), pieceLength: memberLength } : undefined);
    for (let offset = room; offset < whole.length; offset += memberLength) {
      const tar = whole.subarray(offset, offset + memberLength);
      members.push({ tar, entries: 0, firstPath: entry.path, piece: pieceAt(offset) });
    }
  }
  close();
  members.push({ tar: Buffer.alloc(1024), entries: 0, firstPath: '' });
  return members;
}

function* treeEntries(base: string, root: string): Generator<{ entry: TarEntry; data: Buffer }> {
  const linked = new Map<bigint, string>();
  yield* walk(Buffer.from(root).toString('latin1'));

  function* walk(path: string): Generator<{ entry: TarEntry; data: Buffer }> {
    const full = Buffer.concat([Buffer.from(`${base}/`), Buffer.from(path, 'latin1')]);
    const stat = lstatSync(full, { bigint: true });
    const common = { mode: Number(stat.mode) & 0o777, mtimeUs: Number(stat.mtimeNs / 1000n), size: 0 };
    const none = Buffer.alloc(0);
    if (stat.isDirectory()) {
      yield { entry: { type: '5', path: `${path}/`, linkPath: '', ...common }, data: none };
      for (const name of readdirSync(full, 'latin1').sort()) yield* walk(`${path}/${name}`);
    } else if (stat.isSymbolicLink()) {
      yield { entry: { type: '2', path, linkPath: readlinkSync(full, 'latin1'), ...common }, data: none };
    } else {
      const first = linked.get(stat.ino);
      if (first === undefined) {
        const data = readFileSync(full);
        linked.set(stat.ino, path);
        yield { entry: { type: '0', path, linkPath: '', ...common, size: data.length }, data };
      } else yield { entry: { type: '1', path, linkPath: first, ...common }, data: none };
    }
  }
}
