/** Results → Markdown: for the terminal and for docs/benchmarks.md alike. */
import type { CorpusName } from './options.ts';
import { judge, type Verdict } from './must-hold.ts';
import { maxKnown, medianKnown, type Results } from './results.ts';
import { unfaithful, type RoundTrip } from './round-trip.ts';
import { median, type Series } from './rounds.ts';

export function renderResults(results: Results): string {
  return [
    circumstances(results),
    '### Must hold',
    mustHold(judge(results)),
    ...results.corpora.flatMap((corpus) => corpusSection(results, corpus.name)),
    ...roundTripSection(results.roundTrips),
    ...section('Start-up', rowsUnder(results, 'start-up'), 'start-up/node'),
  ].join('\n\n');
}

function circumstances({ machine, corpora, s3Server }: Results): string {
  const tools = Object.entries(machine.tools).map(([tool, version]) =>
    version === undefined ? `${tool}: not installed, not measured` : `${tool} ${numberIn(version)}`,
  );
  const lines = [
    `Measured on ${machine.date}: ${machine.cores} cores (${machine.cpu}), ${Math.round(machine.memoryBytes / 2 ** 30)} GiB, ${machine.system}, load ${machine.loadBefore.toFixed(1)} before the first figure.`,
    `Node ${machine.node}; zstd rows with ${machine.zstdNode ?? 'no Node that has it: not measured'}. All files on ${machine.scratchFileSystem}.`,
    `Programs: ${tools.join(', ')}.`,
    ...(s3Server === undefined ? [] : [`S3 server of the end-to-end rows: ${s3Server}.`]),
    ...corpora.map(
      ({ name, title, tree }) =>
        `Corpus ${name}: ${title}; ${grouped(tree.files)} files, ${grouped(tree.directories)} directories, ${grouped(tree.links)} links, ${megabytes(tree.bytes)} MB in the files.`,
    ),
  ];
  return lines.map((line) => `- ${line}`).join('\n');
}

/** `tar (GNU tar) 1.34` → `1.34` */
function numberIn(version: string): string {
  return /\d+(\.\d+)+/.exec(version)?.[0] ?? version;
}

export function mustHold(verdicts: readonly Verdict[]): string {
  const rows = verdicts.map(({ text, figure, atMost, unit, broken }) => {
    const shown =
      figure === undefined ? 'not measured' : unit === 'MiB' ? `${figure.toFixed(0)} MiB` : figure.toFixed(3);
    const limit = unit === 'MiB' ? `${atMost} MiB` : atMost.toFixed(2);
    return [text, shown, limit, figure === undefined ? '-' : broken ? '**no**' : 'yes'];
  });
  return table(['', 'measured', 'at most', 'holds'], rows);
}

const OPERATIONS: readonly (readonly [key: string, title: string, base: string])[] = [
  ['pack', 'pack', 'tar-gzip'],
  ['unpack', 'unpack', 'tar-gzip'],
  ['deflate', 'deflate, one core', 'zlib-6'],
  ['inflate', 'inflate, one core', 'zlib-6'],
  ['floor', 'floor: files created from memory', '2'],
  ['linear-pack', 'pack, once and twice over', 'once'],
  ['linear-unpack', 'unpack, once and twice over', 'once'],
  ['save', 'save to S3, end to end', 'old-way'],
  ['restore', 'restore from S3, end to end', 'old-way'],
  ['bump', 'one package changes, end to end', 'old-way'],
  ['network', 'restore from S3 over a paced network', 'free'],
  ['ext4', 'restore onto ext4', 'zstd'],
  ['overlayfs', 'restore onto overlayfs', 'zstd'],
  ['xfs', 'restore onto xfs', 'zstd'],
  ['verify', '`bundle check` by itself', 'bundle-check'],
];

function corpusSection(results: Results, corpus: CorpusName): string[] {
  return OPERATIONS.flatMap(([key, title, base]) =>
    section(`${corpus}: ${title}`, rowsUnder(results, `${corpus}/${key}`), `${corpus}/${key}/${base}`),
  );
}

function rowsUnder({ series }: Results, prefix: string): Series[] {
  return series.filter(({ id }) => id.startsWith(`${prefix}/`));
}

/** @param baseId what the last column is relative to */
function section(title: string, rows: readonly Series[], baseId: string): string[] {
  if (rows.length === 0) return [];
  const base = rows.find(({ id, failure }) => id === baseId && failure === undefined);
  const sized = rows.some(({ storedBytes }) => storedBytes !== undefined);
  const head = [
    '',
    'wall s',
    'runs',
    'CPU s',
    'peak MiB',
    ...(sized ? ['MB'] : []),
    `× ${base?.label ?? '-'}`,
  ];
  const cells = [...rows].sort(byWall).map((series) => {
    if (series.failure !== undefined) return [series.label, 'failed', ...head.slice(2).map(() => '-')];
    const wall = median(series.wallSeconds);
    const peak = maxKnown(series.peakRssBytes);
    return [
      series.ours ? `**${series.label}**` : series.label,
      seconds(wall),
      String(series.wallSeconds.length),
      seconds(medianKnown(series.cpuSeconds)),
      peak === undefined ? '-' : String(Math.round(peak / 2 ** 20)),
      ...(sized ? [series.storedBytes === undefined ? '-' : megabytes(series.storedBytes)] : []),
      base === undefined ? '-' : (wall / median(base.wallSeconds)).toFixed(2),
    ];
  });
  return [`### ${title}`, table(head, cells)];
}

function roundTripSection(trips: readonly RoundTrip[]): string[] {
  if (trips.length === 0) return [];
  const rows = trips.map((trip) => [
    trip.corpus,
    trip.compression,
    String(trip.workers),
    grouped(trip.entries),
    trip.differences.length === 0 ? 'none' : `**${trip.differences[0]}**`,
    `\`${trip.digest.slice(0, 12)}\`${unfaithful(trip, trips) ? ' **differs**' : ''}`,
  ]);
  const head = ['corpus', 'compression', 'workers', 'entries compared', 'differences', 'archive (SHA-256)'];
  return ['### Round trips', table(head, rows)];
}

function byWall(a: Series, b: Series): number {
  return median(a.wallSeconds) - median(b.wallSeconds);
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map((_, index) => (index === 0 ? '---' : '---:'))), ...rows.map(line)].join(
    '\n',
  );
}

function seconds(value: number | undefined): string {
  if (value === undefined) return '-';
  return value < 1 ? value.toFixed(3) : value.toFixed(2);
}

function megabytes(bytes: number): string {
  return (bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0);
}

function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
