/**
 * Damages archives of our own format in every way of test/archive/damage.ts, by hand:
 *
 *     npx tsx test/fuzz/flip.ts --cases 10000 [--seed 1] [--compression gzip] [--base /dev/shm]
 *
 * Archives are made by the packer, so members are as large as real ones. Ends with 1 at the first damage that is not noticed.
 * flip-built.ts does the same through the built command and an S3 server.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { CacheError } from '../../src/errors.ts';
import { pack } from '../../src/archive/pack/pack.ts';
import type { Compression } from '../../src/archive/types.ts';
import { unpackWith } from '../../src/archive/unpack/unpack.ts';
import { damage, DAMAGES, partsOf } from '../archive/damage.ts';
import { FORGED_KEY } from '../archive/forge.ts';
import { createInlinePool } from '../archive/inline-pool.ts';
import { makeRandomTree, randomSource } from '../support/tree.ts';

const ROOT = 'node_modules';
const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '10000' },
    seed: { type: 'string', default: '1' },
    compression: { type: 'string', default: 'gzip' },
    base: { type: 'string', default: tmpdir() },
  },
});
const compression = values.compression as Compression;
const seal = { keyDigest: FORGED_KEY, recipe: 'npm', runtime: 'linux-x64-node115', installSeconds: 1 };
const LIMITS = { maxBytes: 1e9, maxFiles: 1e6, maxRatio: 200, maxPathBytes: 4096 };
const base = mkdtempSync(join(values.base, 'sandbox-cache-flip-'));
process.umask(0);

try {
  const parts = await packedParts();
  const outcomes: Record<string, number> = {};
  const from = Number(values.seed);
  for (let seed = from; seed < from + Number(values.cases); seed++) {
    const random = randomSource(seed);
    const kind = random.pick(DAMAGES);
    const { bytes, what } = damage(parts, kind, random);
    const outcome = await unpackDamaged(bytes);
    if (!outcome.startsWith('ARCHIVE_')) throw new Error(`seed ${seed}: ${what}: ${outcome}`);
    outcomes[`${kind}: ${outcome}`] = (outcomes[`${kind}: ${outcome}`] ?? 0) + 1;
  }
  process.stdout.write(`${values.cases} damaged archives (${compression}), all noticed\n`);
  for (const [outcome, count] of Object.entries(outcomes).sort())
    process.stdout.write(`${count} ${outcome}\n`);
} finally {
  rmSync(base, { recursive: true, force: true });
}

/** Members, index and trailer of an archive with some of each: small files, links, and one file in pieces. */
async function packedParts(): Promise<Buffer[]> {
  makeRandomTree(join(base, ROOT), { seed: 9, files: 400, maxSize: 32_768 });
  // Larger than a member, and words: noise would make the archive large, and most damage would fall there.
  writeFileSync(join(base, ROOT, 'large.txt'), Buffer.alloc(5_000_000, 'some words '));
  const { body } = pack({
    dir: base,
    roots: [ROOT],
    excludes: [],
    compression,
    workers: 1,
    limits: LIMITS,
    seal,
    signal: new AbortController().signal,
  });
  const chunks: Uint8Array[] = [];
  for await (const chunk of body) chunks.push(chunk);
  return partsOf(Buffer.concat(chunks), compression);
}

async function unpackDamaged(bytes: Buffer): Promise<string> {
  const dir = join(base, 'out');
  async function* source(): AsyncGenerator<Uint8Array> {
    yield bytes;
  }
  try {
    await unpackWith(createInlinePool(), source(), {
      compression,
      roots: [{ prefix: ROOT, dir }],
      limits: LIMITS,
      mustBeOurs: false,
      expected: seal,
      signal: new AbortController().signal,
    });
    return 'not noticed';
  } catch (error) {
    if (error instanceof CacheError) return error.code;
    throw error;
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
