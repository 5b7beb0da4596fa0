/**
 * Not a measurement: the proof that what was measured is right. A corpus goes through every compression and several worker
 * counts, and what comes back is compared entry by entry, byte by byte. The archive must not depend on the worker count.
 */
import { createHash } from 'node:crypto';
import {
  createReadStream,
  lstatSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  type BigIntStats,
} from 'node:fs';
import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { EXTENSIONS, type Compression } from '../../src/archive/types.ts';
import type { Bench } from './archive-rounds.ts';
import type { Corpus } from './corpus/corpus.ts';
import { measure } from './measure.ts';
import type { CorpusName } from './options.ts';
import { driverCommand } from './ours.ts';

export interface RoundTrip {
  corpus: CorpusName;
  compression: Compression;
  workers: number;
  /** Entries compared. */
  entries: number;
  /** The first few, as sentences. */
  differences: string[];
  /** SHA-256 of the archive. */
  digest: string;
}

/** One, one a CPU, and more than there are. */
const WORKERS = [1, 2, 5];
const DIFFERENCES_SHOWN = 10;

export async function roundTrips(bench: Bench, corpus: Corpus): Promise<RoundTrip[]> {
  const place = join(bench.scratch, 'round-trip');
  await mkdir(place);
  const trips: RoundTrip[] = [];
  for (const compression of bench.options.compressions) {
    const node = compression === 'zstd' ? bench.zstdNode : process.execPath;
    if (node === undefined) continue;
    for (const workers of WORKERS) {
      const trip = await roundTrip(bench, corpus, { compression, workers, node, place });
      trips.push(trip);
      bench.log(
        `${corpus.name}/round-trip/${compression}-${workers}  ${trip.differences.length} differences`,
      );
    }
  }
  await rm(place, { recursive: true });
  return trips;
}

interface Combination {
  compression: Compression;
  workers: number;
  node: string;
  place: string;
}

async function roundTrip(
  { drivers }: Bench,
  corpus: Corpus,
  { compression, workers, node, place }: Combination,
): Promise<RoundTrip> {
  const archive = join(place, `archive${EXTENSIONS[compression]}`);
  const out = join(place, 'unpacked');
  const job = { archive, roots: corpus.roots, compression, workers };
  await measure(driverCommand(drivers, node, { ...job, operation: 'pack', dir: corpus.dir }));
  await measure(driverCommand(drivers, node, { ...job, operation: 'unpack', dir: out }));
  const differences: string[] = [];
  const entries = corpus.roots.reduce(
    (total, root) => total + compare(join(corpus.dir, root), join(out, root), differences),
    0,
  );
  const digest = await digestOf(archive);
  await rm(out, { recursive: true });
  await rm(archive);
  const shown = differences.slice(0, DIFFERENCES_SHOWN);
  return { corpus: corpus.name, compression, workers, entries, differences: shown, digest };
}

/** Bytes, kinds, permissions, targets of links, and times to the microsecond. @returns the entries compared */
export function compare(original: string, copy: string, differences: string[]): number {
  const [before, after] = [original, copy].map((path) =>
    lstatSync(path, { bigint: true, throwIfNoEntry: false }),
  );
  if (before === undefined || after === undefined) {
    differences.push(`${copy} exists on one side only`);
    return 1;
  }
  for (const [what, value] of Object.entries(featuresOf(before)))
    if (featuresOf(after)[what] !== value)
      differences.push(`${copy}: ${what} is ${featuresOf(after)[what]}, not ${value}`);
  if (before.isSymbolicLink() && readlinkSync(original) !== readlinkSync(copy))
    differences.push(`${copy} points elsewhere`);
  if (before.isFile() && after.isFile() && !readFileSync(original).equals(readFileSync(copy)))
    differences.push(`${copy} has other bytes`);
  if (!before.isDirectory() || !after.isDirectory()) return 1;
  const names = new Set([...readdirSync(original), ...readdirSync(copy)]);
  return [...names].reduce(
    (total, name) => total + compare(join(original, name), join(copy, name), differences),
    1,
  );
}

function featuresOf(stats: BigIntStats): Record<string, bigint> {
  const kept = { kind: stats.mode & 0o170000n, 'time in µs': stats.mtimeNs / 1000n };
  // Linux gives every link the same permissions.
  return stats.isSymbolicLink() ? kept : { ...kept, permissions: stats.mode & 0o777n };
}

/** Whether a tree came back altered, or the archive depends on the workers that made it. */
export function unfaithful(trip: RoundTrip, all: readonly RoundTrip[]): boolean {
  const sameTree = all.filter(
    ({ corpus, compression }) => corpus === trip.corpus && compression === trip.compression,
  );
  return trip.differences.length > 0 || sameTree.some(({ digest }) => digest !== trip.digest);
}

async function digestOf(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const bytes of createReadStream(file)) hash.update(bytes as Buffer);
  return hash.digest('hex');
}
