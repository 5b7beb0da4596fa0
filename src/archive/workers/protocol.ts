/**
 * What the main thread and the workers say to each other. A job is answered by exactly one reply of its type,
 * or an error. Paths are binary strings, one character a byte, see format/tar-header.ts.
 */
import type { CompiledFile } from '../../compiled/compiled-file.ts';
import type { TarEntry } from '../format/tar-header.ts';
import type { Compression } from '../types.ts';

export type Job = WalkJob | PackJob | LookJob | UnpackJob | FinishJob;

/** Reply of each job, by the job's type. */
export interface Replies {
  walk: WalkReply;
  pack: PackReply;
  look: LookReply;
  unpack: UnpackReply;
  finish: FinishReply;
}

export type ReplyOf<J extends Job> = Replies[J['type']];

/** What a handler answers; the buffers move instead of being copied. */
export interface HandlerResult<R> {
  reply: R;
  transfer: ArrayBuffer[];
}

/** Main thread → worker. */
export interface Request {
  id: number;
  job: Job;
}

/** Worker → main thread. */
export type Response =
  | { id: number; reply: Replies[keyof Replies] }
  | { id: number; failure: { code?: string; message: string; hint?: string; stack?: string } };

export interface WalkJob {
  type: 'walk';
  /** Absolute, binary string. */
  base: string;
  /** Directories to list, relative to `base`, `/`-separated, binary strings. */
  dirs: string[];
  excludes: readonly string[];
  /** Entries after which directories not yet listed are handed back. */
  budget: number;
  /** Whether to look into compiled files. @default false */
  lookInside?: boolean;
}

export interface WalkReply {
  /** Directories listed: the entries of `dirs[n]` are the next `counts[n]` of all. */
  dirs: string[];
  counts: number[];
  /** Names of all entries, joined by `\0`: one string crosses threads faster than many. */
  names: string;
  /** `STAT_FIELDS` numbers an entry, see there. */
  stats: Float64Array;
  /**
   * Device and inode of each entry marked `SHARED`, in order. Text: inode numbers of overlayfs exceed 53
   * bits.
   */
  inodes: string[];
  /** Where symlinks point, in the order of their entries. */
  linkTargets: string[];
  /** Directories met but not listed. */
  rest: string[];
  compiled: CompiledFile[];
}

/**
 * Numbers an entry: mode with type bits (and `SHARED`), size, mtime and ctime in µs, inode (rounded beyond 53
 * bits).
 */
export const STAT_FIELDS = 5;

export const MODE = 0;

export const SIZE = 1;

export const MTIME = 2;

export const CTIME = 3;

export const INODE = 4;

/** Set in the mode of a file that has several links. */
export const SHARED = 0x10000;

export interface LookJob {
  type: 'look';
  /** Absolute, binary string. */
  base: string;
  /** Directories relative to `base`, binary strings, joined by `\0`. */
  dirs: string;
  /** For each its ctime in µs and its inode, as they were when the walk met it. */
  stats: Float64Array;
}

export interface LookReply {
  /** Those that have changed. */
  changed: string[];
}

/** Numbers a directory in `LookJob.stats`. */
export const LOOK_FIELDS = 2;

/** An entry, and what tells whether its file is still the same. */
export interface SourceEntry extends TarEntry {
  ctimeUs: number;
  inode: number;
  /** Of a file: its time follows from its content, see pack/made-times.ts, and `mtimeUs` only holds its place. */
  hasMadeTime: boolean;
}

/** What one member holds. Lists cross threads, so they are packed into few strings and numbers. */
export type MemberPlan =
  DataPlan | PiecePlan | { kind: 'end'; tarLength: number; fileBytes: 0; entries: 0; firstPath: '' };

export interface DataPlan {
  kind: 'data';
  tarLength: number;
  /** Of the contents of files, without headers and padding. */
  fileBytes: number;
  entries: number;
  firstPath: string;
  /** Paths of all entries, then the targets of the links among them, each list joined by `\0`. */
  paths: string;
  linkPaths: string;
  /** `ENTRY_FIELDS` numbers an entry: type's character code, mode, size, mtime and ctime in µs, inode, has a made time. */
  numbers: Float64Array;
  /** The last file goes on in pieces, the first of them from here. */
  open: { offset: number; pieceLength: number } | undefined;
}

export interface PiecePlan {
  kind: 'piece';
  tarLength: number;
  fileBytes: number;
  entries: 0;
  firstPath: string;
  file: SourceEntry;
  offset: number;
  /** Bytes of the file; padding may follow. */
  length: number;
}

export const ENTRY_FIELDS = 7;

export interface PackJob {
  type: 'pack';
  /** Absolute, binary string. */
  base: string;
  compression: Compression;
  level: number | undefined;
  plan: MemberPlan;
}

export interface PackReply {
  /** Frame and body. */
  bytes: Uint8Array<ArrayBuffer>;
  frameLength: number;
  digest: Uint8Array;
}

/** See UnpackRoot; binary strings, so that names join without conversion. */
export interface BinaryRoot {
  prefix: string;
  dir: string;
  mayBeFile?: boolean;
}

/** The same in all jobs of a run. */
export interface UnpackSetup {
  roots: readonly BinaryRoot[];
  maxPathBytes: number;
  maxFiles: number;
  maxBytes: number;
}

export interface UnpackJob {
  type: 'unpack';
  setup: UnpackSetup;
  /** Tar, or a member with its frame. Their memory moves to the worker, and comes back with the reply. */
  bytes: Uint8Array<ArrayBuffer>;
  /** Where what counts of it ends. @default all of it */
  length?: number;
  /** Absent: tar that others wrote. */
  own?: OwnMember;
  /** Absent: the tar is entries; the content of the last one may go on in jobs of its own. */
  piece?: FilePiece;
}

export interface OwnMember {
  compression: Compression;
  record: Uint8Array;
  /** Where the body begins. Without a frame the digest is not checked here: it stands in the index. */
  frameLength: number;
  tarLength: number;
}

export interface FilePiece {
  /** Absolute, binary string; an earlier job has made it. */
  target: string;
  offset: number;
  /** Bytes of the file; padding may follow them. */
  length: number;
}

export interface UnpackReply {
  /** The job's, to be filled again. */
  memory: ArrayBuffer;
  /** Of a member of our own format. */
  digest: Uint8Array;
  /** Name of the first entry; empty when there is none. */
  firstPath: string;
  /** Files, directories and links. */
  entries: number;
  /** Bytes of file content written. */
  bytes: number;
  /** Whether the tar ended in this slice. */
  ended: boolean;
  directories: PendingStat[];
  hardlinks: Link[];
  symlinks: Link[];
  /** The last file, when its content goes on. */
  open?: OpenFile;
}

/**
 * What gets its time, and where `mode` is not -1 its mode, when everything is in place. Absolute, binary
 * string.
 */
export interface PendingStat {
  target: string;
  mode: number;
  mtimeUs: number;
  /**
   * Of the job it comes from, in an archive that others wrote: of two entries of one directory the later
   * counts.
   */
  order?: number;
}

export interface Link {
  target: string;
  /** Of a hard link absolute, of a symlink as it is in the archive; binary string. */
  to: string;
  mtimeUs: number;
}

export interface OpenFile {
  path: string;
  target: string;
  size: number;
  mode: number;
  mtimeUs: number;
  /** Bytes written so far. */
  written: number;
}

export interface FinishJob {
  type: 'finish';
  roots: readonly BinaryRoot[];
  hardlinks?: Link[];
  symlinks?: Link[];
  /** Directories, and files that were written in pieces: their modes. Deepest first. */
  modes?: PendingStat[];
  /** The same: their times. */
  times?: PendingStat[];
}

export type FinishReply = Record<string, never>;
