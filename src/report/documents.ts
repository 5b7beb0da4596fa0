import type { Inspection } from '../commands/inspect.ts';
import type { StoredEntry } from '../session/stored-entries.ts';
import { counted } from '../text/counted.ts';
import { formatAge, formatTable } from './format.ts';
import { formatBytes } from '../text/format-bytes.ts';
import { printable } from './printable.ts';

/** What a command prints if it does not report outcomes of recipes. */
export interface Document {
  json: unknown;
  text: string;
  /** For people, on stderr. stdout holds only `text`, for a program to read. */
  aside?: string;
  /** @default 0 */
  exitCode?: number;
}

export function listDocument(entries: readonly StoredEntry[]): Document {
  const total = entries.reduce((sum, entry) => sum + entry.size, 0);
  const rows = entries.map((entry) => [
    entry.recipe,
    formatBytes(entry.size),
    entry.ageMs === undefined ? '-' : formatAge(entry.ageMs),
    entry.runtime || '-',
    entry.key,
  ]);
  const table = formatTable([['RECIPE', 'SIZE', 'AGE', 'RUNTIME', 'KEY'], ...rows], [1, 2]);
  return {
    json: { entries: entries.map(entryJson), totalBytes: total },
    text:
      entries.length === 0
        ? 'No entries.'
        : `${table}\n${counted(entries.length, 'entry').replace('entrys', 'entries')}, ${formatBytes(total)}`,
  };
}

export function pruneDocument(
  { deleted, kept }: { deleted: readonly StoredEntry[]; kept: readonly StoredEntry[] },
  dryRun: boolean,
): Document {
  const bytes = (entries: readonly StoredEntry[]): number =>
    entries.reduce((sum, entry) => sum + entry.size, 0);
  const verb = dryRun ? 'Would delete' : 'Deleted';
  const lines = deleted.map((entry) => `${verb} ${printable(entry.url)} (${formatBytes(entry.size)})`);
  const all = (entries: readonly StoredEntry[]): string =>
    `${entries.length} of ${deleted.length + kept.length} entries`;
  return {
    json: {
      dryRun,
      deleted: deleted.map(entryJson),
      deletedBytes: bytes(deleted),
      kept: kept.length,
      keptBytes: bytes(kept),
    },
    text: [
      ...lines,
      `${verb} ${all(deleted)}, ${formatBytes(bytes(deleted))}; ${formatBytes(bytes(kept))} ${dryRun ? 'would be left' : 'left'}`,
    ].join('\n'),
  };
}

export function inspectDocument({ info, url, metadata, members }: Inspection): Document {
  const rows = members.map((member) => [
    `${letter(member.type)}${(member.mode & 0o777).toString(8).padStart(4, '0')}`,
    String(member.size),
    new Date(member.mtimeMs).toISOString().slice(0, 19).replace('T', ' '),
    member.linkname === undefined ? member.path : `${member.path} -> ${member.linkname}`,
  ]);
  return {
    json: { ...info, modified: info.modified ?? null, url, metadata, members },
    text: [
      `${printable(url)}: ${formatBytes(info.size)}, ${counted(members.length, 'file')}`,
      formatTable(rows, [1]),
    ].join('\n'),
  };
}

function letter(type: Inspection['members'][number]['type']): string {
  return { file: '-', directory: 'd', symlink: 'l', hardlink: 'h' }[type];
}

function entryJson({
  url,
  key,
  recipe,
  hash,
  runtime,
  size,
  modified,
  etag,
}: StoredEntry): Record<string, unknown> {
  return { url, key, recipe, hash, runtime, size, modified: modified?.toISOString() ?? null, etag };
}
