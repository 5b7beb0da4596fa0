/**
 * Unpacking, worker half. A job is a slice of tar (a member of our own format, or cut from somebody else's
 * tar) or a piece of a large file. Each file is written with four system calls. Links and the times of
 * directories go back in the reply; they are made at the end (see finish-tree.ts).
 */
import { closeSync, constants, futimesSync, openSync, writeSync } from 'node:fs';
import { writeError } from '../errors.ts';
import { paddedLength } from '../format/tar-header.ts';
import { createMemberReader, symlinkTarget, type MemberReader } from '../read/read-member.ts';
import type { ReadEntry } from '../read/tar-entries.ts';
import { createTargetTree, IMPLIED_MODE } from './target-tree.ts';
import { isInWasm, wasm } from '../wasm/instance.ts';
import type { FileContent } from '../wasm/entry-table.ts';
import type { UnpackSetup, FilePiece, UnpackReply } from '../workers/protocol.ts';
import { fsPath } from '../format/binary-string.ts';

/**
 * Seconds for node:fs. Half a microsecond is added: floating point may make the value a little less, and old
 * versions of libuv round down to microseconds.
 */
export function toSeconds(mtimeUs: number): number | string {
  // Node takes a negative number to mean "now", but not a string.
  return mtimeUs < 0 ? String(mtimeUs / 1e6) : (mtimeUs + 0.5) / 1e6;
}

/** Each worker needs one for each run, because it remembers directories. */
export function createMemberUnpacker(setup: UnpackSetup): MemberReader {
  const tree = createTargetTree(setup.roots, setup.maxFiles);
  return createMemberReader(setup, {
    // Only what was inflated into WebAssembly's memory. Anything else would have to be copied there first.
    ordinary: (tar, at, reply) => (isInWasm(tar) ? unpackOrdinary(tar, at, reply) : at),
    entry: unpackEntry,
    piece: writePiece,
  });

  /** Fast path for ordinary entries. Returns the offset of the first entry that it cannot handle. */
  function unpackOrdinary(tar: Buffer, at: number, reply: UnpackReply): number {
    for (;;) {
      const entries = wasm().readEntries(tar, at, setup);
      const { count } = entries;
      if (count === 0) return at;
      let directory: string | undefined;
      for (let n = 0; n < count; n++) {
        if (reply.entries++ === 0) reply.firstPath = entries.path(n);
        const file = entries.file(n);
        if (entries.isDirectory(n)) {
          makeDirectory(entries.path(n), file, reply);
          continue;
        }
        const beside = entries.isBeside(n) ? directory : undefined;
        const target = beside === undefined ? tree.place(entries.path(n), 'file') : beside + entries.base(n);
        if (beside === undefined) directory = tree.directoryOf(target);
        try {
          writeFile(tar, file, target, reply);
        } catch (error) {
          throw writeError(entries.path(n), error);
        }
      }
      const last = entries.file(count - 1);
      at = last.at + paddedLength(last.size);
    }
  }

  function unpackEntry(tar: Buffer, entry: ReadEntry, reply: UnpackReply): void {
    const { path } = entry;
    if (entry.kind === 'directory') return makeDirectory(path, entry, reply);
    const target = tree.place(path, entry.kind === 'file' ? 'file' : 'link');
    if (entry.kind === 'file') {
      try {
        if (writeFile(tar, entry, target, reply)) return;
      } catch (error) {
        throw writeError(path, error);
      }
      const { size, mode, mtimeUs, at } = entry;
      reply.open = { path, target, size, mode, mtimeUs, written: tar.length - at };
    } else if (entry.kind === 'hardlink')
      reply.hardlinks.push({ target, to: tree.linked(entry), mtimeUs: 0 });
    else reply.symlinks.push({ target, to: symlinkTarget(entry), mtimeUs: entry.mtimeUs });
  }

  function makeDirectory(path: string, entry: { mode: number; mtimeUs: number }, reply: UnpackReply): void {
    const made = tree.directory(path, entry.mode);
    if (made === undefined) return;
    const mode = made.exact || entry.mode === IMPLIED_MODE ? -1 : entry.mode;
    reply.directories.push({ target: made.target, mode, mtimeUs: entry.mtimeUs });
  }

  /**
   * Creates a file and writes as much of its content as `tar` holds.
   * @returns whether that is all of it
   * @throws system errors
   */
  function writeFile(tar: Buffer, file: FileContent, target: string, reply: UnpackReply): boolean {
    const { at, size, mode, mtimeUs } = file;
    const here = Math.min(size, tar.length - at);
    const whole = here === size;
    // The umask is 0. A file that is not complete must be opened again by its owner, so its mode is set at
    // the end.
    const fd = openSync(fsPath(target), CREATE, whole ? mode : mode | 0o600);
    try {
      if (here > 0) writeAll(fd, tar, { at, length: here, offset: null });
      if (whole) futimesSync(fd, toSeconds(mtimeUs), toSeconds(mtimeUs));
    } finally {
      closeSync(fd);
    }
    reply.bytes += here;
    return whole;
  }
}

function writePiece(tar: Buffer, piece: FilePiece, reply: UnpackReply): void {
  try {
    const fd = openSync(fsPath(piece.target), constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      writeAll(fd, tar, { at: 0, length: piece.length, offset: piece.offset });
    } finally {
      closeSync(fd);
    }
  } catch (error) {
    throw writeError(piece.target, error);
  }
  reply.bytes += piece.length;
}

/**
 * A disk that fills up writes a part first; only the next call fails. So this goes on until all is written.
 */
function writeAll(
  fd: number,
  tar: Buffer,
  range: { at: number; length: number; offset: number | null },
): void {
  let { at, length, offset } = range;
  for (;;) {
    const written = writeSync(fd, tar, at, length, offset);
    length -= written;
    if (length === 0) return;
    at += written;
    if (offset !== null) offset += written;
  }
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
