/** Runs fuzz cases in this process: the handlers of the workers without the threads, some hundreds of cases a second. */
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { CacheError } from '../../src/errors.ts';
import { list } from '../../src/archive/read/list.ts';
import { unpackWith } from '../../src/archive/unpack/unpack.ts';
import { FORGED_KEY, treeMembers } from '../archive/forge.ts';
import { createInlinePool } from '../archive/inline-pool.ts';
import { makeRandomTree, randomSource } from '../support/tree.ts';
import { makeCase, type FuzzCase } from './cases.ts';

export interface FuzzOptions {
  /** Where the cases run; tmpfs is fastest. */
  base: string;
  from: number;
  to: number;
  /** A case that takes longer is one that hangs, ms. @default 10_000 */
  deadline?: number;
  onProgress?: (done: number) => void;
}

export interface FuzzResult {
  /** Cases by how they ended: `unpacked`, or the error's code. */
  outcomes: Record<string, number>;
  /** Bytes, over all cases. */
  peakRss: number;
  slowestMs: number;
}

/** A case that did what no case may: write outside, fail in an unknown way, or not end. */
export class FuzzFinding extends Error {
  readonly seed: number;
  readonly bytes: Buffer;

  constructor(seed: number, what: string, fuzzCase: FuzzCase, cause?: unknown) {
    super(`seed ${seed} (${fuzzCase.compression}): ${what}`, { cause });
    this.seed = seed;
    this.bytes = fuzzCase.bytes;
  }
}

const LIMITS = { maxBytes: 4e6, maxFiles: 2000, maxRatio: 200, maxPathBytes: 4096 };

/** @throws FuzzFinding */
export async function fuzz(options: FuzzOptions): Promise<FuzzResult> {
  const { from, to, deadline = 10_000, onProgress } = options;
  const base = mkdtempSync(join(options.base, 'sandbox-cache-fuzz-'));
  const arena = makeArena(base);
  const result: FuzzResult = { outcomes: {}, peakRss: 0, slowestMs: 0 };
  const umask = process.umask(0);
  try {
    for (let seed = from; seed < to; seed++) {
      const fuzzCase = makeCase(randomSource(seed), arena.sound, arena.outside);
      const began = performance.now();
      const outcome = await runCase(fuzzCase, arena, deadline).catch((error: unknown) => {
        throw new FuzzFinding(seed, error instanceof Error ? error.message : String(error), fuzzCase, error);
      });
      const escaped = arena.changed();
      if (escaped !== undefined) throw new FuzzFinding(seed, `escaped: ${escaped}`, fuzzCase);
      result.outcomes[outcome] = (result.outcomes[outcome] ?? 0) + 1;
      result.slowestMs = Math.max(result.slowestMs, performance.now() - began);
      arena.clear();
      if (seed % 500 === 0) {
        result.peakRss = Math.max(result.peakRss, process.memoryUsage.rss());
        onProgress?.(seed - from);
      }
    }
    return result;
  } finally {
    process.umask(umask);
    rmSync(base, { recursive: true, force: true });
  }
}

/** @returns how it ended, unpacked; listing it has to end alike */
async function runCase(fuzzCase: FuzzCase, arena: Arena, deadline: number): Promise<string> {
  const hung = new AbortController();
  const timer = setTimeout(() => hung.abort(new Error(`did not end in ${deadline} ms`)), deadline);
  const options = {
    compression: fuzzCase.compression,
    roots: [{ prefix: 'node_modules', dir: arena.dir }],
    limits: LIMITS,
    mustBeOurs: false,
    expected: { keyDigest: FORGED_KEY, recipe: 'npm', runtime: 'linux-x64-node115' },
    signal: hung.signal,
  };
  try {
    const unpacked = await outcomeOf(unpackWith(createInlinePool(), chunks(fuzzCase), options));
    const listed = await outcomeOf(list(chunks(fuzzCase), options));
    if (listed !== unpacked) throw new Error(`restore says ${unpacked}, inspect says ${listed}`);
    return unpacked;
  } finally {
    clearTimeout(timer);
  }
}

async function outcomeOf(reading: Promise<unknown>): Promise<string> {
  try {
    await reading;
    return 'unpacked';
  } catch (error) {
    // Anything else is a bug: a person would see a stack trace.
    if (error instanceof CacheError && error.code.startsWith('ARCHIVE_')) return error.code;
    throw error;
  }
}

async function* chunks({ bytes, chunk }: FuzzCase): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += chunk) yield bytes.subarray(at, at + chunk);
}

interface Arena {
  /** Where the archive's root goes. */
  dir: string;
  /** Where nothing may ever be written. */
  outside: string;
  /** Members of a sound archive, to be damaged. */
  sound: ReturnType<typeof treeMembers>;
  /** What has changed around the target, if anything. */
  changed(): string | undefined;
  clear(): void;
}

function makeArena(base: string): Arena {
  const stage = join(base, 'stage');
  const outside = join(base, 'outside');
  const secret = join(outside, 'secret');
  mkdirSync(stage);
  mkdirSync(join(outside, 'dir'), { recursive: true });
  writeFileSync(secret, 'secret', { mode: 0o600 });
  mkdirSync(join(base, 'sound'));
  makeRandomTree(join(base, 'sound', 'node_modules'), { seed: 4, files: 12, maxSize: 4096 });
  writeFileSync(join(base, 'sound', 'node_modules', 'large'), randomSource(2).bytes(9000));
  const sound = treeMembers(join(base, 'sound'), 'node_modules', 4096);
  rmSync(join(base, 'sound'), { recursive: true });

  const look = (): string => {
    const file = lstatSync(secret);
    const names = [base, outside, join(outside, 'dir'), stage].map((dir) => readdirSync(dir).sort().join());
    const modes = [base, outside, join(outside, 'dir'), stage].map((dir) => statSync(dir).mode.toString(8));
    return [readFileSync(secret, 'utf8'), file.mode, file.nlink, file.mtimeMs, ...names, ...modes].join(
      ' | ',
    );
  };
  const dir = join(stage, 'out');
  const before = look();
  return {
    dir,
    outside,
    sound,
    changed() {
      const now = look().replace(' | out | ', ' |  | ');
      return now === before ? undefined : `${before} became ${now}`;
    },
    clear() {
      remove(dir);
    },
  };
}

/** Directories may have come without rights for their owner. */
function remove(dir: string): void {
  try {
    rmSync(dir, { recursive: true, force: true });
  } catch {
    chmodSync(dir, 0o700);
    for (const entry of readdirSync(dir, { withFileTypes: true }))
      if (entry.isDirectory()) remove(join(dir, entry.name));
    rmSync(dir, { recursive: true, force: true });
  }
}
