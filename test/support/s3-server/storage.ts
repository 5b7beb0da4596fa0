/** What the server remembers: all in memory, changed only in one synchronous step, so every reader sees whole objects. */
import { createHash, randomBytes } from 'node:crypto';
import type { ChecksumAlgorithm } from './checksums.ts';
import { s3Error } from './errors.ts';

export interface StoredObject {
  key: string;
  chunks: readonly Buffer[];
  size: number;
  /** Without its quotes: 32 hex digits, `-N` behind them for N parts. */
  etag: string;
  /** Whole seconds, as S3 keeps them. */
  modified: Date;
  /** Headers given back on every GET and HEAD: `content-type`, `x-amz-meta-*`, … */
  headers: Readonly<Record<string, string>>;
  checksum?: StoredChecksum | undefined;
}

export interface StoredChecksum {
  algorithm: ChecksumAlgorithm;
  /** Base64; `-N` behind it where it is composed of N parts' checksums. */
  value: string;
  type: 'FULL_OBJECT' | 'COMPOSITE';
}

export interface StoredPart {
  number: number;
  chunks: readonly Buffer[];
  size: number;
  md5: Buffer;
  modified: Date;
  checksum: { algorithm: ChecksumAlgorithm; value: string } | undefined;
}

export interface StoredUpload {
  id: string;
  key: string;
  initiated: Date;
  headers: Readonly<Record<string, string>>;
  checksum: { algorithm: ChecksumAlgorithm; type: StoredChecksum['type'] } | undefined;
  parts: Map<number, StoredPart>;
}

export interface StoredBucket {
  name: string;
  region: string;
  created: Date;
  objects: Map<string, StoredObject>;
  uploads: Map<string, StoredUpload>;
  /** Subresource (`policy`, `lifecycle`, …) → the document that was put there. */
  settings: Map<string, string>;
}

export type Storage = Map<string, StoredBucket>;

export function createBucket(storage: Storage, name: string, region: string): StoredBucket {
  const bucket: StoredBucket = {
    name,
    region,
    created: wholeSeconds(new Date()),
    objects: new Map(),
    uploads: new Map(),
    settings: new Map(),
  };
  storage.set(name, bucket);
  return bucket;
}

export function bucketNamed(storage: Storage, name: string): StoredBucket {
  const bucket = storage.get(name);
  if (bucket === undefined) throw s3Error('NoSuchBucket', { elements: { BucketName: name } });
  return bucket;
}

/** Any ordering of keys is that of their UTF-8 bytes, as in S3's listings. */
export function sortedKeys(keys: Iterable<string>): string[] {
  return [...keys].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}

export function wholeSeconds(date: Date): Date {
  return new Date(Math.floor(date.getTime() / 1000) * 1000);
}

export function newUploadId(): string {
  return randomBytes(24).toString('base64url');
}

export function md5Hex(chunks: readonly Buffer[]): string {
  const hash = createHash('md5');
  for (const chunk of chunks) hash.update(chunk);
  return hash.digest('hex');
}

/** The bytes from `start` to `end` (exclusive) as slices of what is stored; nothing is copied. */
export function* slices(chunks: readonly Buffer[], start: number, end: number): Generator<Buffer> {
  let offset = 0;
  for (const chunk of chunks) {
    const from = Math.max(start - offset, 0);
    const to = Math.min(end - offset, chunk.length);
    if (from < to) yield chunk.subarray(from, to);
    offset += chunk.length;
    if (offset >= end) return;
  }
}
