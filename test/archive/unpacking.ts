/** Unpacking bytes in tests: with real workers or with their handlers in this process, which is some 100 times faster to start. */
import { buildSync } from 'esbuild';
import { copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, expect } from 'vitest';
import { list, type ListedMember } from '../../src/archive/read/list.ts';
import { createPool } from '../../src/archive/workers/pool.ts';
import type { Compression, UnpackOptions, UnpackSummary } from '../../src/archive/types.ts';
import { unpackWith } from '../../src/archive/unpack/unpack.ts';
import type { CacheError } from '../../src/errors.ts';
import { workerBundle } from '../../.build/worker-bundle.mjs';
import { FORGED_KEY } from './forge.ts';
import { createInlinePool } from './inline-pool.ts';

export const LIMITS = { maxBytes: 1e9, maxFiles: 100_000, maxRatio: 200, maxPathBytes: 4096 };
export const ROOT = 'node_modules';

/** What this Node can do. */
export const COMPRESSIONS: readonly Compression[] =
  'zstd' in process.versions ? ['gzip', 'zstd', 'none'] : ['gzip', 'none'];

export interface Unpacking extends Partial<UnpackOptions> {
  compression: Compression;
  /** Where `ROOT` goes. */
  dir: string;
  /** Worker threads; 0: none, in this process. @default 0 */
  workers?: number;
  /** Bytes in a chunk of the stream. @default all in one */
  chunk?: number;
}

export async function unpackBytes(bytes: Buffer, unpacking: Unpacking): Promise<UnpackSummary> {
  const { workers = 0, chunk = bytes.length } = unpacking;
  const pool = workers === 0 ? createInlinePool() : createPool({ size: workers, entry: workerEntry() });
  const umask = process.umask(0);
  try {
    return await unpackWith(pool, inChunks(bytes, chunk), optionsFor(unpacking));
  } finally {
    process.umask(umask);
    await pool.close();
  }
}

/** The same bytes, as `inspect` reads them. */
export function listBytes(bytes: Buffer, unpacking: Omit<Unpacking, 'dir'>): Promise<ListedMember[]> {
  const { chunk = bytes.length } = unpacking;
  return list(inChunks(bytes, chunk), optionsFor({ ...unpacking, dir: ROOT }));
}

export interface Refusal {
  code: unknown;
  message?: unknown;
  /** Which case it is, for a failure. */
  what?: string;
}

/** Unpacking refuses it so, and `inspect` with the same code. */
export async function expectBothRefuse(
  bytes: Buffer,
  unpacking: Unpacking,
  { what, ...refusal }: Refusal,
): Promise<void> {
  const unpacked: unknown = await unpackBytes(bytes, unpacking).catch((error: unknown) => error);
  expect(unpacked, what).toMatchObject(refusal);
  const listed: unknown = await listBytes(bytes, unpacking).catch((error: unknown) => error);
  expect(listed, `inspect: ${what}`).toMatchObject({ code: (unpacked as CacheError).code });
}

export function optionsFor({ dir, ...options }: Unpacking): UnpackOptions {
  return {
    roots: [{ prefix: ROOT, dir }],
    limits: LIMITS,
    mustBeOurs: false,
    expected: { keyDigest: FORGED_KEY, recipe: 'npm', runtime: 'linux-x64-node115' },
    signal: new AbortController().signal,
    ...options,
  };
}

export async function* inChunks(bytes: Buffer, size: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/** The worker, bundled once for each test file. */
export function workerEntry(): URL {
  bundled ??= bundleWorker();
  return bundled;
}

let bundled: URL | undefined;

function bundleWorker(): URL {
  const dir = temporaryDir();
  buildSync({
    ...workerBundle,
    absWorkingDir: new URL('../..', import.meta.url).pathname,
    entryPoints: ['src/archive/worker.ts'],
    outdir: dir,
  });
  copyFileSync(new URL('../../dist/archive.wasm', import.meta.url), join(dir, 'archive.wasm'));
  return pathToFileURL(join(dir, 'worker.cjs'));
}

const temporary: string[] = [];

/** Removed when the test file ends. */
export function temporaryDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'sandbox-cache-archive-'));
  temporary.push(dir);
  return dir;
}

afterAll(() => {
  for (const dir of temporary) rmSync(dir, { recursive: true, force: true });
});
