/** What a run leaves: every sample, and enough about its circumstances to judge it. */
import type { TreeSize } from './corpus/corpus.ts';
import type { Machine } from './machine.ts';
import type { CorpusName } from './options.ts';
import type { RoundTrip } from './round-trip.ts';
import { median, type Series } from './rounds.ts';

export interface Results {
  machine: Machine;
  /** Our worker counts; the rows that must hold are about the largest. */
  workers: readonly number[];
  corpora: { name: CorpusName; title: string; tree: TreeSize }[];
  /** Of the end-to-end part. */
  s3Server: string | undefined;
  series: Series[];
  roundTrips: RoundTrip[];
}

/** For `--json`. What is undefined is null there: JSON would leave a missing program out. */
export function writeResults(results: Results): string {
  return `${JSON.stringify(results, (_, value: unknown) => value ?? null, 2)}\n`;
}

/** What `writeResults` wrote. */
export function readResults(text: string): Results {
  return withoutNull(JSON.parse(text)) as Results;
}

function withoutNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNull);
  if (typeof value !== 'object' || value === null) return value ?? undefined;
  return Object.fromEntries(Object.entries(value).map(([name, inner]) => [name, withoutNull(inner)]));
}

/**
 * Runs of different corpora as one: no ratio is ever taken across corpora, so none is taken across runs.
 * @param runs at least one
 * @throws Error when one has what another has too, or was made elsewhere
 */
export function joinResults(runs: readonly Results[]): Results {
  const [first] = runs;
  if (first === undefined) throw new Error('no run to take samples from');
  const series = runs.flatMap((run) => run.series);
  const twice = series.find(({ id }, n) => series.findIndex((other) => other.id === id) !== n);
  if (twice !== undefined) throw new Error(`${twice.id} was measured in two of these runs`);
  const stranger = runs.find(
    ({ machine }) => machine.cpu !== first.machine.cpu || machine.node !== first.machine.node,
  );
  if (stranger !== undefined)
    throw new Error(`these runs are of ${first.machine.cpu} and of ${stranger.machine.cpu}`);
  return {
    ...first,
    corpora: [...new Map(runs.flatMap((run) => run.corpora).map((corpus) => [corpus.name, corpus])).values()],
    s3Server: runs.find((run) => run.s3Server !== undefined)?.s3Server,
    series,
    roundTrips: runs.flatMap((run) => run.roundTrips),
  };
}

/** @returns undefined when it was not measured, or not to the end */
export function find(results: Results, id: string): Series | undefined {
  return results.series.find((series) => series.id === id && series.failure === undefined);
}

/** Median wall seconds of one over those of another; undefined when either was not measured. */
export function wallRatio(results: Results, id: string, ofId: string): number | undefined {
  const [series, of] = [find(results, id), find(results, ofId)];
  return series === undefined || of === undefined
    ? undefined
    : median(series.wallSeconds) / median(of.wallSeconds);
}

/** @returns undefined when no sample has the figure */
export function medianKnown(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : median(known);
}

/** @returns undefined when no sample has the figure */
export function maxKnown(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length === 0 ? undefined : Math.max(...known);
}
