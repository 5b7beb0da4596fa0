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
