/**
 * An archive is a directory tree as a stream of bytes. It knows nothing of S3, recipes or where a tree
 * finally lands. The format is specified in docs/archive-format.md.
 */
import type { Chunk } from '../async/chunks.ts';
import type { CompiledFile } from '../compiled/compiled-file.ts';

export type Compression = 'gzip' | 'zstd' | 'none';

/** File name endings, by compression. */
export const EXTENSIONS = { gzip: '.tar.gz', zstd: '.tar.zst', none: '.tar' } as const satisfies Record<
  Compression,
  string
>;

export interface PackOptions {
  /** Absolute path of the directory that paths in the archive are relative to. */
  dir: string;
  /** Directories and single files to pack, relative to `dir`, `/`-separated. All exist. */
  roots: readonly string[];
  /** Paths left out, see `Recipe.excludes`. */
  excludes: readonly string[];
  /** Which directories are packages, see `Recipe.packages`. @default none: each directory counts as one */
  packages?: readonly string[] | undefined;
  /**
   * Stores times that follow from what files hold, in place of the tree's own; except for these paths, relative
   * to `dir`. See pack/made-times.ts.
   * @default all times are the tree's own
   */
  madeTimes?: { except: readonly string[] } | undefined;
  compression: Compression;
  /** @default the measured best of the compression */
  level?: number | undefined;
  /** Worker threads, at least 1. The bytes written do not depend on it. */
  workers: number;
  /** Those that a restore will hold the archive against. */
  limits: Limits;
  seal: Seal;
  /** Signs the archive. */
  sign?: Sign;
  signal: AbortSignal;
  onProgress?: (progress: PackProgress) => void;
  /** Called once, before the first byte: the compiled files of the tree, in no particular order. */
  onCompiled?: (files: readonly CompiledFile[]) => void;
}

/** What an entry says about itself; compared on restore and covered by the signature. */
export interface Seal {
  /** SHA-256 that the key's hash is the beginning of, 64 hex digits. */
  keyDigest: string;
  recipe: string;
  /** e.g. `linux-x64-node115`; empty when the key has none. */
  runtime: string;
  /** What an install took, seconds; 0 when unknown. Lets a restore say what it saved. */
  installSeconds: number;
}

/** Signs or checks the statement that `signature.ts` builds; Ed25519, 64 bytes. */
export type Sign = (statement: Uint8Array) => Uint8Array;
/** @throws CacheError ARCHIVE_UNTRUSTED */
export type CheckSignature = (statement: Uint8Array, signature: Uint8Array | undefined) => void;

export interface Progress {
  /** Bytes of the archive as stored, so far. */
  bytes: number;
  /** Tree entries so far. */
  files: number;
}

/** How far packing has come, as whoever takes the archive's bytes has taken them. */
export interface PackProgress {
  /** Bytes of files that are packed. */
  bytes: number;
  /** Bytes of all files of the tree. What comes of them is not known before the end. */
  total: number;
  /** Tree entries so far. */
  files: number;
}

export interface ArchiveSummary {
  /** Files, directories and links. */
  files: number;
  /** Bytes of tar, before compression. */
  bytes: number;
  /** Bytes as stored. */
  storedBytes: number;
}

export interface Packing {
  /** The archive's bytes. Iterate once. Throws what went wrong; stopping early stops the workers. */
  body: AsyncIterable<Uint8Array>;
  /** The same, a member a chunk, with what a restored entry holds of them: to be iterated in place of `body`. */
  chunks: AsyncIterable<Chunk>;
  /** Settles when the body ends. */
  summary: Promise<ArchiveSummary>;
}

export interface UnpackOptions {
  compression: Compression;
  /** Where each top path goes: everything in the archive must lie under one of the prefixes. */
  roots: readonly UnpackRoot[];
  limits: Limits;
  /**
   * The entry must carry our format: something outside the archive (object metadata) says that we wrote it.
   */
  mustBeOurs: boolean;
  /** Compared with the archive's own seal where it has one. */
  expected: { keyDigest: string; recipe: string; runtime: string };
  checkSignature?: CheckSignature;
  signal: AbortSignal;
  onProgress?: (progress: Progress) => void;
}

export interface UnpackRoot {
  /** e.g. `vendor/bundle`; an old library's archive has `bundle` in its place. */
  prefix: string;
  /** Absolute, in staging; created here when the archive has it. Its parent exists. Must not exist before. */
  dir: string;
  /** Whether the archive may have a file in place of the directory. @default false */
  mayBeFile?: boolean;
}

export interface UnpackSummary extends ArchiveSummary {
  /** Prefixes that the archive held. */
  roots: string[];
  /** What an install took, seconds; 0 when unknown. */
  installSeconds: number;
  /** Whether the archive was in our own format, every digest checked. */
  isOurs: boolean;
  /** Its members, in order; none of a foreign archive. */
  members: readonly StoredMember[];
}

/** Where a member with its frame lies in an archive, and what its index says of it. */
export interface StoredMember {
  digest: Uint8Array;
  offset: number;
  /** Bytes of it, of which `frameLength` are its frame. */
  length: number;
  frameLength: number;
  tarLength: number;
  /** Binary string. */
  firstPath: string;
}

/** Bounds that an honest entry never meets; a hostile one does. Each has a variable, see config/config.ts. */
export interface Limits {
  /** Bytes on disk. */
  maxBytes: number;
  /** Tree entries. */
  maxFiles: number;
  /** Bytes of tar for each stored byte, once over 64 MiB of tar. */
  maxRatio: number;
  /** Bytes of one path in the archive. */
  maxPathBytes: number;
}
