/** `npm run bench`: ours and the rivals on the same trees, in the same run. Flags: options.ts; method: docs/benchmarks.md. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { archiveRounds, type Bench } from './archive-rounds.ts';
import { codecRounds } from './codec.ts';
import type { Corpus } from './corpus/corpus.ts';
import { openCorpus } from './corpus/open.ts';
import { bumpRounds } from './bump.ts';
import { buildDrivers } from './drivers/build.ts';
import { endToEndRounds } from './end-to-end.ts';
import { fileSystemRounds } from './file-systems.ts';
import { floorRounds } from './floor.ts';
import { linearRounds } from './linear.ts';
import { describeMachine, findZstdNode } from './machine.ts';
import { judge } from './must-hold.ts';
import { networkRounds } from './network.ts';
import { HELP, parseOptions, type Options } from './options.ts';
import { joinResults, readResults, writeResults, type Results } from './results.ts';
import { roundTrips, unfaithful } from './round-trip.ts';
import { startS3Place } from './s3-place.ts';
import { startUpRounds } from './start-up.ts';
import { renderResults } from './tables.ts';

const DOCS = new URL('../../docs/benchmarks.md', import.meta.url);

try {
  await main(process.argv.slice(2));
} catch (error) {
  process.stderr.write(`bench: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 2;
}

async function main(argv: readonly string[]): Promise<void> {
  const options = parseOptions(argv);
  if (options === undefined) {
    process.stdout.write(HELP);
    return;
  }
  const results =
    options.fromJson.length === 0
      ? await measureAll(options)
      : joinResults(options.fromJson.map((file) => readResults(readFileSync(file, 'utf8'))));
  if (options.json !== undefined) await writeFile(options.json, writeResults(results));
  const tables = renderResults(results);
  process.stdout.write(`\n${tables}\n`);
  if (options.writeDocs) writeDocs(tables);
  if (options.check && !isGood(results)) process.exitCode = 1;
}

/** The scratch directory is memory, as a rule. */
function clearWhenInterrupted(scratch: string): void {
  for (const signal of ['SIGINT', 'SIGTERM'] as const)
    process.once(signal, () => {
      rmSync(scratch, { recursive: true, force: true });
      process.exit(signal === 'SIGINT' ? 130 : 143);
    });
}

function isGood(results: Results): boolean {
  const failed = results.series.some(({ failure }) => failure !== undefined);
  const altered = results.roundTrips.some((trip) => unfaithful(trip, results.roundTrips));
  return !failed && !altered && !judge(results).some(({ broken }) => broken);
}

async function measureAll(options: Options): Promise<Results> {
  mkdirSync(options.corporaDir, { recursive: true });
  const zstdNode = options.compressions.includes('zstd')
    ? findZstdNode(options.zstdNode, options.corporaDir)
    : undefined;
  const scratch = await mkdtemp(join(options.scratchDir, 'sandbox-cache-bench-'));
  clearWhenInterrupted(scratch);
  const log = (line: string) => process.stderr.write(`${line}\n`);
  try {
    const bench: Bench = {
      options,
      machine: describeMachine(scratch, zstdNode),
      drivers: await buildDrivers(join(scratch, 'drivers')),
      zstdNode,
      scratch,
      log,
    };
    const results: Results = {
      machine: bench.machine,
      workers: options.workers,
      corpora: [],
      s3Server: undefined,
      series: [],
      roundTrips: [],
    };
    for (const name of options.corpora) {
      const corpus = await openCorpus(name, { corporaDir: options.corporaDir, scratch, log });
      if (corpus === undefined) continue;
      const { title, tree } = corpus;
      results.corpora.push({ name, title, tree });
      await measureCorpus(bench, corpus, results);
      await rm(corpus.dir, { recursive: true });
      if (options.json !== undefined) await writeFile(options.json, writeResults(results));
    }
    return results;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

async function measureCorpus(bench: Bench, corpus: Corpus, results: Results): Promise<void> {
  const wants = (part: Options['parts'][number]) => bench.options.parts.includes(part);
  if (wants('archive')) results.series.push(...(await archiveRounds(bench, corpus)));
  if (wants('codec') && corpus.name === 'L') results.series.push(...(await codecRounds(bench, corpus)));
  if (wants('floor') && corpus.name === 'L') results.series.push(...(await floorRounds(bench, corpus)));
  if (wants('linear') && corpus.name === 'L') results.series.push(...(await linearRounds(bench, corpus)));
  if (wants('start-up') && corpus.name === 'S') results.series.push(...(await startUpRounds(bench, corpus)));
  if (wants('round-trip')) results.roundTrips.push(...(await roundTrips(bench, corpus)));
  if (wants('file-systems') && corpus.name === 'L')
    results.series.push(...(await fileSystemRounds(bench, corpus)));
  const paced = wants('network') && corpus.name === 'L';
  const bump = wants('bump') && corpus.name === 'L' && bench.machine.tools.aws !== undefined;
  if (!wants('end-to-end') && !paced && !bump) return;
  const s3 = await startS3Place();
  try {
    results.s3Server = s3.name;
    if (wants('end-to-end')) results.series.push(...(await endToEndRounds(bench, corpus, s3)));
    if (bump) results.series.push(...(await bumpRounds(bench, corpus, s3)));
    if (paced) results.series.push(...(await networkRounds(bench, corpus, s3)));
  } finally {
    await s3.stop();
  }
}

/** Replaces what stands between the two markers; the prose around them is written by hand, the figures never. */
function writeDocs(tables: string): void {
  const [begin, end] = ['<!-- figures: written by npm run bench -->', '<!-- end of figures -->'];
  const text = readFileSync(DOCS, 'utf8');
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from < 0 || to < from) throw new Error('docs/benchmarks.md has lost its markers');
  writeFileSync(DOCS, `${text.slice(0, from + begin.length)}\n\n${tables}\n\n${text.slice(to)}`);
}
