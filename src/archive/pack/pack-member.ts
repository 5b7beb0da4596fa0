/**
 * Packing a member, worker half. Headers and files are written straight into the memory that is then
 * compressed. The result is a new buffer with the frame and the compressed body.
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
import {
  encodeHeader,
  headerLength,
  paddedLength,
  TYPE_FILE,
  type EntryType,
  type TarEntry,
} from '../format/tar-header.ts';
import {
  type HandlerResult,
  type SourceEntry,
  ENTRY_FIELDS,
  type DataPlan,
  type MemberPlan,
  type PackJob,
  type PackReply,
} from '../workers/protocol.ts';
import type { Compression } from '../types.ts';
import { changed, sourceError } from './errors.ts';
import { madeTime, madeTimeOfLarge, SAMPLE_LENGTH } from './made-times.ts';
import { isAt } from './stat.ts';
import { containerFor } from '../format/containers.ts';
import { fsPath } from '../format/binary-string.ts';

export type MemberPacker = (job: PackJob) => HandlerResult<PackReply>;

export function createMemberPacker(): MemberPacker {
  const containers = new Map<Compression, Container>();

  return ({ base, compression, level, plan }) => {
    const container = containers.get(compression) ?? containerFor(compression);
    containers.set(compression, container);
    const tar = container.room(plan.tarLength);
    const large = largeFile(plan, base);
    fill(tar, { base, plan, large });

    const body = container.compress(tar, level);
    const described = describe(plan, { storedLength: body.length, compression, large });
    const record = withDigest(encodeRecord(described), body);
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

/** The file that is only partly in this member, with the time in its header. */
function largeFile(plan: MemberPlan, base: string): SourceEntry | undefined {
  if (plan.kind === 'end' || (plan.kind === 'data' && plan.open === undefined)) return undefined;
  const file = plan.kind === 'piece' ? plan.file : lastEntry(plan);
  if (!file.hasMadeTime) return file;
  const sample = Buffer.allocUnsafe(2 * Math.min(SAMPLE_LENGTH, file.size));
  readFile(sample.subarray(0, sample.length / 2), base, file, 0);
  readFile(sample.subarray(sample.length / 2), base, file, file.size - sample.length / 2);
  return { ...file, mtimeUs: madeTimeOfLarge(sample, file.size) };
}

function describe(
  plan: MemberPlan,
  {
    storedLength,
    compression,
    large,
  }: { storedLength: number; compression: Compression; large: SourceEntry | undefined },
): WithoutDigest<MemberRecord> {
  const lengths = { storedLength, tarLength: plan.tarLength };
  if (plan.kind === 'piece') return { kind: 'continuation', ...lengths, piece: pieceOf(large!, plan.offset) };
  if (plan.kind === 'end' || plan.open === undefined || compression !== 'none')
    return { kind: 'data', ...lengths };
  const { offset, pieceLength } = plan.open;
  return { kind: 'open', ...lengths, pieceLength, piece: pieceOf(large!, offset) };
}

function pieceOf(file: TarEntry, offset: number) {
  const { size, mode, mtimeUs } = file;
  return { path: Buffer.from(file.path, 'latin1'), offset, size, mode, mtimeUs };
}

interface Filling<Plan extends MemberPlan = MemberPlan> {
  base: string;
  plan: Plan;
  large: SourceEntry | undefined;
}

function fill(tar: Buffer, { base, plan, large }: Filling): void {
  switch (plan.kind) {
    case 'data':
      return fillEntries(tar, { base, plan, large });
    case 'piece':
      readFile(tar.subarray(0, plan.length), base, plan.file, plan.offset);
      tar.fill(0, plan.length);
      return;
    case 'end':
      tar.fill(0);
  }
}

function fillEntries(tar: Buffer, { base, plan, large }: Filling<DataPlan>): void {
  let at = 0;
  for (const entry of entriesOf(plan)) {
    const headerAt = at;
    at += headerLength(entry);
    // The last file may continue in pieces.
    const length = Math.min(entry.size, plan.tarLength - at);
    const content = tar.subarray(at, at + length);
    if (entry.type === TYPE_FILE) readFile(content, base, entry, 0);
    const isWhole = length === entry.size;
    if (isWhole && entry.hasMadeTime) entry.mtimeUs = madeTime(content);
    encodeHeader(tar, headerAt, isWhole ? entry : large!);
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
      hasMadeTime: plan.numbers[n * ENTRY_FIELDS + 6] === 1,
    };
  }
}

function lastEntry(plan: DataPlan): SourceEntry {
  let last: SourceEntry | undefined;
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
    // Not blocking, because the file may have become a fifo.
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
 * Whether it is still the same file. Package managers give files a constant time, and a new file may have the
 * size of the old one. The ctime shows the difference, because nobody can set it.
 */
function isSame(stat: Stats, { size, mtimeUs, ctimeUs, inode, hasMadeTime }: SourceEntry): boolean {
  return (
    stat.isFile() &&
    stat.size === size &&
    stat.ino === inode &&
    (hasMadeTime || isAt(stat.mtimeMs, mtimeUs)) &&
    isAt(stat.ctimeMs, ctimeUs)
  );
}

const EMPTY = Buffer.alloc(0);
