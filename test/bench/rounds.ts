/** Rounds: every contender runs once a round, so that whatever else the machine does meets all of them alike. */
import { measure, type Command, type Sample } from './measure.ts';

export interface Contender {
  /** Unique in a run, e.g. `L/unpack/ours-gzip-2`: how must-hold.ts finds it. */
  id: string;
  /** As a reader sees it in a table. */
  label: string;
  /** Counts for the rows about us, peak memory above all. */
  ours?: boolean;
  /** Not timed. */
  before?: (round: number) => Promise<void>;
  command: (round: number) => Command;
  /** Not timed: checks what was made, and clears it. */
  after?: (round: number, sample: Sample) => Promise<Outcome>;
  /** Seconds that the command took, from its stdout, where starting it is no part of the figure. */
  ownSeconds?: (stdout: string) => number;
}

export interface Outcome {
  /** Size of the archive. */
  storedBytes?: number;
}

export interface Series {
  id: string;
  label: string;
  ours: boolean;
  wallSeconds: number[];
  cpuSeconds: (number | undefined)[];
  peakRssBytes: (number | undefined)[];
  storedBytes?: number;
  /** Why it was given up. The others went on: an hour of figures must not be lost to one of them. */
  failure?: string;
}

/** Slower than this, three rounds say enough: a round of all rivals over L takes minutes. */
const SLOW_SECONDS = 10;
const SLOW_ROUNDS = 3;

/** The order turns by one each round, so that nobody always follows the same neighbour. */
export async function runRounds(
  contenders: readonly Contender[],
  rounds: number,
  log: (line: string) => void,
): Promise<Series[]> {
  const series = new Map<string, Series>();
  for (let round = 0; round < rounds; round++) {
    const turn = contenders.length === 0 ? 0 : round % contenders.length;
    for (const contender of [...contenders.slice(turn), ...contenders.slice(0, turn)]) {
      const known = series.get(contender.id) ?? begin(contender);
      if (known.failure !== undefined || (round >= SLOW_ROUNDS && isSlow(known))) continue;
      const kept = await runOnce(contender, known, round);
      series.set(contender.id, kept);
      log(`${kept.id}  ${kept.failure ?? `${kept.wallSeconds.at(-1)?.toFixed(2)} s`}`);
    }
  }
  return contenders.flatMap(({ id }) => series.get(id) ?? []);
}

function begin({ id, label, ours = false }: Contender): Series {
  return { id, label, ours, wallSeconds: [], cpuSeconds: [], peakRssBytes: [] };
}

function isSlow({ wallSeconds }: Series): boolean {
  return median(wallSeconds) > SLOW_SECONDS;
}

async function runOnce(contender: Contender, known: Series, round: number): Promise<Series> {
  try {
    await contender.before?.(round);
    const sample = await measure(contender.command(round));
    const outcome = (await contender.after?.(round, sample)) ?? {};
    return { ...add(known, sample, contender.ownSeconds), ...outcome };
  } catch (error) {
    return { ...known, failure: error instanceof Error ? error.message : String(error) };
  }
}

function add(known: Series, sample: Sample, ownSeconds: Contender['ownSeconds']): Series {
  // Who counts his own seconds does other things besides: what the whole process took would say nothing about them.
  const whole = ownSeconds === undefined;
  return {
    ...known,
    wallSeconds: [...known.wallSeconds, whole ? sample.wallSeconds : ownSeconds(sample.stdout)],
    cpuSeconds: [...known.cpuSeconds, whole ? sample.cpuSeconds : undefined],
    peakRssBytes: [...known.peakRssBytes, whole ? sample.peakRssBytes : undefined],
  };
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  const upper = sorted[middle] ?? Number.NaN;
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2;
}
