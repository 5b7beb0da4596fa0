/**
 * Packing a member: worker half. Headers are encoded and files read straight into the memory that is
 * compressed from; what leaves is a buffer of its own with the frame and the compressed body.
 */
import { closeSync, constants, fstatSync, openSync, readSync, type Stats } from 'node:fs';
import type { Container } from '../format/container.ts';
import {
  encodeRecord,
  withDigest,
  type MemberRecord,
  type WithoutDigest,
  digestIn,
} from '../format/record.ts';
import { encodeHeader, paddedLength, type EntryType, type TarEntry } from '../format/tar-header.ts';
import {
  type Answer,
  type SourceEntry,
  ENTRY_FIELDS,
  type DataPlan,
  type MemberPlan,
  type PackJob,
  type PackReply,
} from '../workers/protocol.ts';
import type { Compression } from '../types.ts';
import { changed, sourceError } from './errors.ts';
import { isAt } from './stat.ts';
import { containerFor } from '../format/containers.ts';
import { fsPath } from '../format/binary-string.ts';

export type MemberPacker = (job: PackJob) => Answer<PackReply>;

export function createMemberPacker(): MemberPacker {
  const containers = new Map<Compression, Container>();

  return ({ base, compression, level, plan }) => {
    const container = containers.get(compression) ?? containerFor(compression);
    containers.set(compression, container);
    const tar = container.room(plan.tarLength);
    fill(tar, base, plan);

    const body = container.compress(tar, level);
    const record = withDigest(encodeRecord(describe(plan, body.length, compression)), body);
    const frame = isBare(plan, compression) ? EMPTY : container.encodeFrame(record);
    const bytes = Buffer.allocUnsafeSlow(frame.length + body.length);
    bytes.set(frame);
    bytes.set(body, frame.length);
    const digest = Uint8Array.from(digestIn(record));
    return { reply: { bytes, frameLength: frame.length, digest }, transfer: [bytes.buffer] };
  };
}

/**
 * In a tar that is not compressed nothing may stand between the pieces of a file, and no global header before
 * the blocks that end it: Python's tarfile wants an entry behind each.
 */
function isBare({ kind }: MemberPlan, compression: Compression): boolean {
  return compression === 'none' && kind !== 'data';
}

function describe(
  plan: MemberPlan,
  storedLength: number,
  compression: Compression,
): WithoutDigest<MemberRecord> {
  const lengths = { storedLength, tarLength: plan.tarLength };
  if (plan.kind === 'piece')
    return { kind: 'continuation', ...lengths, piece: pieceOf(plan.file, plan.offset) };
  if (plan.kind === 'end' || plan.open === undefined || compression !== 'none')
    return { kind: 'data', ...lengths };
  const { offset, pieceLength } = plan.open;
  return { kind: 'open', ...lengths, pieceLength, piece: pieceOf(lastEntry(plan), offset) };
}

function pieceOf(file: TarEntry, offset: number) {
  const { size, mode, mtimeUs } = file;
  return { path: Buffer.from(file.path, 'latin1'), offset, size, mode, mtimeUs };
}

function fill(tar: Buffer, base: string, plan: MemberPlan): void {
  switch (plan.kind) {
    case 'data':
      return fillEntries(tar, base, plan);
    case 'piece':
      readFile(tar.subarray(0, plan.length), base, plan.file, plan.offset);
      tar.fill(0, plan.length);
      return;
    case 'end':
      tar.fill(0);
  }
}

function fillEntries(tar: Buffer, base: string, plan: DataPlan): void {
  let at = 0;
  for (const entry of entriesOf(plan)) {
    at = encodeHeader(tar, at, entry);
    if (entry.type !== '0') continue;
    // The last one may go on in pieces.
    const length = Math.min(entry.size, plan.tarLength - at);
    readFile(tar.subarray(at, at + length), base, entry, 0);
    const end = Math.min(at + paddedLength(length), plan.tarLength);
    tar.fill(0, at + length, end);
    at = end;
  }
  if (at !== plan.tarLength) throw new Error(`member of ${at} bytes instead of ${plan.tarLength}`);
}

function* entriesOf(plan: DataPlan): Generator<SourceEntry> {
  const paths = plan.paths.split('\0');
  const linkPaths = plan.linkPaths.split('\0');
  let link = 0;
  for (let n = 0; n < paths.length; n++) {
    const type = String.fromCharCode(plan.numbers[n * ENTRY_FIELDS]!) as EntryType;
    yield {
      type,
      path: paths[n]!,
      linkPath: type === '1' || type === '2' ? linkPaths[link++]! : '',
      mode: plan.numbers[n * ENTRY_FIELDS + 1]!,
      size: plan.numbers[n * ENTRY_FIELDS + 2]!,
      mtimeUs: plan.numbers[n * ENTRY_FIELDS + 3]!,
      ctimeUs: plan.numbers[n * ENTRY_FIELDS + 4]!,
      inode: plan.numbers[n * ENTRY_FIELDS + 5]!,
    };
  }
}

function lastEntry(plan: DataPlan): TarEntry {
  let last: TarEntry | undefined;
  for (const entry of entriesOf(plan)) last = entry;
  return last!;
}

/**
 * Fills `target` with the file's bytes from `offset`, and makes sure that it is still the file that the walk
 * found.
 * @throws CacheError SOURCE_CHANGED, SOURCE_UNREADABLE
 */
function readFile(target: Buffer, base: string, file: SourceEntry, offset: number): void {
  let fd: number | undefined;
  try {
    // Not blocking: what was a file may be a fifo by now.
    fd = openSync(
      fsPath(`${base}/${file.path}`),
      constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK,
    );
    for (let at = 0; at < target.length;) {
      const read = readSync(
        fd,
        target,
        at,
        target.length - at,
        offset === 0 && at === 0 ? null : offset + at,
      );
      if (read === 0) throw changed(file.path, 'changed');
      at += read;
    }
    if (!isSame(fstatSync(fd), file)) throw changed(file.path, 'changed');
  } catch (error) {
    throw sourceError(file.path, error);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
}

/**
 * Package managers give files one constant time, and a new file may have the old one's size: the ctime tells,
 * which nobody can set.
 */
function isSame(stat: Stats, { size, mtimeUs, ctimeUs, inode }: SourceEntry): boolean {
  return (
    stat.isFile() &&
    stat.size === size &&
    stat.ino === inode &&
    isAt(stat.mtimeMs, mtimeUs) &&
    isAt(stat.ctimeMs, ctimeUs)
  );
}

const EMPTY = Buffer.alloc(0);
