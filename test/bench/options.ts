/** Flags of `npm run bench`. */
import { availableParallelism, homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { existsSync } from 'node:fs';
import { parseArgs } from 'node:util';
import type { Compression } from '../../src/archive/types.ts';

export const CORPUS_NAMES = ['S', 'L', 'B', 'V'] as const;
export type CorpusName = (typeof CORPUS_NAMES)[number];

export const PARTS = [
  'archive',
  'codec',
  'linear',
  'floor',
  'end-to-end',
  'bump',
  'network',
  'file-systems',
  'start-up',
  'round-trip',
] as const;
export type Part = (typeof PARTS)[number];

const COMPRESSIONS = ['gzip', 'zstd', 'none'] as const satisfies readonly Compression[];

export interface Options {
  corpora: readonly CorpusName[];
  parts: readonly Part[];
  /** Worker counts of our side. */
  workers: readonly number[];
  compressions: readonly Compression[];
  /** Levels measured besides the default one. */
  levels: readonly number[];
  runs: number;
  startUpRuns: number;
  /** Leave the rivals out: for work on our own side. */
  oursOnly: boolean;
  /** Kept between runs: what the corpora are installed into. */
  corporaDir: string;
  /** Emptied by each run: where archives and trees are written while timed. */
  scratchDir: string;
  /** A Node with zstd; undefined: the running one where it has it, else Node 24 from npm. */
  zstdNode: string | undefined;
  json: string | undefined;
  /** Files of earlier runs on this machine, each of other corpora. */
  fromJson: readonly string[];
  writeDocs: boolean;
  check: boolean;
}

export const HELP = `Usage: npm run bench -- [options]

  --corpora S,L,B,V       S: this project's node_modules; L: 85,000 files from npm; B: one 1 GB file and
                          many tiny ones; V: a vendor/bundle                          (default: S,L,B,V)
  --parts LIST            ${PARTS.join(', ')}      (default: all)
  --workers LIST          worker threads of our side                                   (default: 1,2)
  --compression LIST      gzip, zstd, none                                             (default: all)
  --levels LIST           compression levels besides the default one
  --runs N                rounds; a contender slower than 10 s is measured three times (default: 5)
  --start-up-runs N       rounds of the start-up part                                  (default: 41)
  --quick                 --corpora S --runs 1 --start-up-runs 5, for what is not given
  --ours-only             leave the rivals out
  --corpora-dir DIR       where corpora are kept                  (default: the user's cache directory)
  --scratch-dir DIR       where archives and trees are written    (default: /dev/shm, else the temporary directory)
  --zstd-node PATH        a Node with zstd                        (default: this one, else node@24 from npm)
  --json FILE             write every sample
  --from-json FILE,FILE   measure nothing: take the samples from runs of different corpora
  --write-docs            put the tables into docs/benchmarks.md
  --check                 exit 1 if a row of "must hold" does not, or a contender fails
  --help
`;

/** @returns undefined when only the help is asked for. @throws Error on a flag it does not know */
export function parseOptions(argv: readonly string[]): Options | undefined {
  const { values } = parseArgs({
    args: [...argv],
    options: {
      corpora: { type: 'string' },
      parts: { type: 'string' },
      workers: { type: 'string' },
      compression: { type: 'string' },
      levels: { type: 'string' },
      runs: { type: 'string' },
      'start-up-runs': { type: 'string' },
      quick: { type: 'boolean', default: false },
      'ours-only': { type: 'boolean', default: false },
      'corpora-dir': { type: 'string' },
      'scratch-dir': { type: 'string' },
      'zstd-node': { type: 'string' },
      json: { type: 'string' },
      'from-json': { type: 'string' },
      'write-docs': { type: 'boolean', default: false },
      check: { type: 'boolean', default: false },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    corpora: choices('--corpora', values.corpora ?? (values.quick ? 'S' : 'S,L,B,V'), CORPUS_NAMES),
    parts: choices('--parts', values.parts ?? PARTS.join(','), PARTS),
    workers: numbers('--workers', values.workers ?? `1,${Math.min(2, availableParallelism())}`),
    compressions: choices('--compression', values.compression ?? COMPRESSIONS.join(','), COMPRESSIONS),
    levels: numbers('--levels', values.levels ?? ''),
    runs: numbers('--runs', values.runs ?? (values.quick ? '1' : '5'))[0] ?? 1,
    startUpRuns: numbers('--start-up-runs', values['start-up-runs'] ?? (values.quick ? '5' : '41'))[0] ?? 1,
    oursOnly: values['ours-only'],
    corporaDir: values['corpora-dir'] ?? join(cacheDirectory(), 'sandbox-cache-bench'),
    scratchDir: values['scratch-dir'] ?? (existsSync('/dev/shm') ? '/dev/shm' : tmpdir()),
    zstdNode: values['zstd-node'],
    json: values.json,
    fromJson: words(values['from-json'] ?? ''),
    writeDocs: values['write-docs'],
    check: values.check,
  };
}

function choices<T extends string>(flag: string, text: string, known: readonly T[]): T[] {
  const chosen = words(text);
  for (const word of chosen)
    if (!known.some((name) => name === word))
      throw new Error(`${flag} takes ${known.join(', ')}; not ${JSON.stringify(word)}`);
  return known.filter((name) => chosen.includes(name));
}

function numbers(flag: string, text: string): number[] {
  const found = words(text);
  for (const word of found)
    if (!/^[1-9]\d*$/.test(word)) throw new Error(`${flag} takes whole numbers above 0; not ${word}`);
  return [...new Set(found.map(Number))];
}

function words(text: string): string[] {
  return text.split(',').filter((word) => word !== '');
}

function cacheDirectory(): string {
  const configured = process.env['XDG_CACHE_HOME'];
  return configured === undefined || configured === '' ? join(homedir(), '.cache') : configured;
}
