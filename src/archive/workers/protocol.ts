/**
 * The messages between the main thread and the workers. Each job gets exactly one reply of its type, or an
 * error. Paths are binary strings, one character a byte, see format/tar-header.ts.
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

/** What a handler returns. The buffers in `transfer` are moved, not copied. */
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
  /** After this many entries, directories that are not listed yet are returned in `rest`. */
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
  /** `STAT_FIELDS` numbers for each entry, see there. */
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
 * How many numbers an entry has: mode with type bits (and `SHARED`), size, mtime and ctime in µs, inode
 * (rounded beyond 53 bits).
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
  /** The directories that have changed. */
  changed: string[];
}

/** How many numbers a directory has in `LookJob.stats`. */
export const LOOK_FIELDS = 2;

/** An entry, and what tells whether its file is still the same. */
export interface SourceEntry extends TarEntry {
  ctimeUs: number;
  inode: number;
  /**
   * For a file: its time is made from its content, see pack/made-times.ts, and `mtimeUs` is only a
   * placeholder.
   */
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
  /** How many of the bytes count. @default all */
  length?: number;
  /** Absent for tar that others wrote. */
  own?: OwnMember;
  /** Absent if the tar holds entries. The content of the last one may continue in other jobs. */
  piece?: FilePiece;
}

export interface OwnMember {
  compression: Compression;
  record: Uint8Array;
  /** Where the body begins. Without a frame the digest is in the index, and is not checked here. */
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
  /** The memory of the job, for reuse. */
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
  /** The last file, if its content continues. */
  open?: OpenFile;
}

/**
 * Something whose time is set when everything is in place, and its mode unless `mode` is -1. `target` is
 * absolute, a binary string.
 */
export interface PendingStat {
  target: string;
  mode: number;
  mtimeUs: number;
  /**
   * The number of its job, in an archive that others wrote. Of two entries of one directory the later one
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
  /** Modes of directories, and of files that were written in pieces. Deepest first. */
  modes?: PendingStat[];
  /** Times of the same. */
  times?: PendingStat[];
}

export type FinishReply = Record<string, never>;
