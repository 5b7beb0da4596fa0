/**
 * Cuts a tree's sections into members: at most `memberLength` bytes of tar each, cut between entries, so that
 * any worker can pack or unpack any of them alone. None holds entries of two sections. A file larger than a
 * member begins at the end of one and goes on in pieces of its own. The cut depends on nothing but the tree.
 */
import { binary } from '../format/binary-string.ts';
import { BLOCK, END_OF_TAR_LENGTH, headerLength, paddedLength } from '../format/tar-header.ts';
import type { PackOptions } from '../types.ts';
import type { SourceEntry, MemberPlan, DataPlan, PiecePlan } from '../workers/protocol.ts';
import { withMadeTimes } from './made-times.ts';
import { arranged } from './order-entries.ts';
import { inSections } from './sections.ts';
import { sourceEntries, type SourceTree } from './source-tree.ts';

/** Bytes of tar in a member. Measured, see docs/archive-format.md. */
export const MEMBER_LENGTH = 2 * 1024 * 1024;

/** The members of a tree's archive. */
export function plansOf(
  tree: SourceTree,
  options: Pick<PackOptions, 'packages' | 'madeTimes'>,
): Generator<MemberPlan> {
  return planMembers(arrangedSections(tree, options), MEMBER_LENGTH);
}

function* arrangedSections(
  tree: SourceTree,
  { packages = [], madeTimes }: Pick<PackOptions, 'packages' | 'madeTimes'>,
): Generator<SourceEntry[]> {
  const found = sourceEntries(tree);
  const except = madeTimes?.except.map(binary);
  const entries = except === undefined ? found : withMadeTimes(found, except);
  for (const section of inSections(entries, packages)) yield arranged(section);
}

export function* planMembers(
  sections: Iterable<readonly SourceEntry[]>,
  memberLength: number,
): Generator<MemberPlan> {
  for (const section of sections) yield* planSection(section, memberLength);
  yield { kind: 'end', tarLength: END_OF_TAR_LENGTH, fileBytes: 0, entries: 0, firstPath: '' };
}

function* planSection(entries: readonly SourceEntry[], memberLength: number): Generator<MemberPlan> {
  let member = newMember();
  for (const entry of entries) {
    const header = headerLength(entry);
    const whole = header + paddedLength(entry.size);
    const large = whole > memberLength;
    // A large file fills up the member it begins in, unless there is room for no more than its header.
    const needs = large ? header + BLOCK : whole;
    if (member.tarLength > 0 && member.tarLength + needs > memberLength) {
      yield finished(member);
      member = newMember();
    }
    add(member, entry);
    if (!large) {
      member.tarLength += whole;
      member.fileBytes += entry.size;
      continue;
    }
    const first = memberLength - member.tarLength - header;
    member.tarLength = memberLength;
    member.fileBytes += Math.min(first, entry.size);
    yield finished(member, { offset: first, pieceLength: memberLength });
    member = newMember();
    yield* pieces(entry, first, memberLength);
  }
  if (member.tarLength > 0) yield finished(member);
}

function* pieces(file: SourceEntry, from: number, pieceLength: number): Generator<PiecePlan> {
  const end = paddedLength(file.size);
  // The last piece may be padding alone: then it has no byte of the file.
  for (let offset = from; offset < end; offset += pieceLength) {
    const length = Math.max(0, Math.min(pieceLength, file.size - offset));
    yield {
      kind: 'piece',
      entries: 0,
      firstPath: file.path,
      file,
      offset,
      tarLength: Math.min(pieceLength, end - offset),
      length,
      fileBytes: length,
    };
  }
}

interface GrowingMember {
  tarLength: number;
  fileBytes: number;
  paths: string[];
  linkPaths: string[];
  numbers: number[];
}

function newMember(): GrowingMember {
  return { tarLength: 0, fileBytes: 0, paths: [], linkPaths: [], numbers: [] };
}

function add(member: GrowingMember, entry: SourceEntry): void {
  member.paths.push(entry.path);
  if (entry.linkPath !== '') member.linkPaths.push(entry.linkPath);
  const { mode, size, mtimeUs, ctimeUs, inode, hasMadeTime } = entry;
  const type = entry.type.charCodeAt(0);
  member.numbers.push(type, mode, size, mtimeUs, ctimeUs, inode, Number(hasMadeTime));
}

function finished(member: GrowingMember, open?: DataPlan['open']): DataPlan {
  return {
    kind: 'data',
    tarLength: member.tarLength,
    fileBytes: member.fileBytes,
    entries: member.paths.length,
    firstPath: member.paths[0] ?? '',
    paths: member.paths.join('\0'),
    linkPaths: member.linkPaths.join('\0'),
    numbers: Float64Array.from(member.numbers),
    open,
  };
}
