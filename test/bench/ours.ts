/** Our side of the archive rounds: every combination of compression, workers, level and Node that was asked for. */
import { EXTENSIONS, type Compression } from '../../src/archive/types.ts';
import type { ArchiveJob } from './drivers/archive.ts';
import type { Drivers } from './drivers/build.ts';
import type { Command } from './measure.ts';
import type { Options } from './options.ts';

export interface Variant {
  /** e.g. `ours-gzip-2`, `ours-gzip-2-zstd-node`, `ours-gzip-2-level-1` */
  id: string;
  label: string;
  node: string;
  compression: Compression;
  workers: number;
  level?: number;
  extension: string;
}

/** @param zstdNode path of a Node with zstd; undefined: no zstd rows */
export function variants(options: Options, zstdNode: string | undefined): Variant[] {
  const { workers, compressions, levels } = options;
  const found: Variant[] = [];
  for (const count of workers)
    for (const compression of compressions) {
      const node = compression === 'zstd' ? zstdNode : process.execPath;
      if (node === undefined) continue;
      found.push(variant({ node, compression, workers: count }));
      if (compression !== 'none')
        for (const level of levels) found.push(variant({ node, compression, workers: count, level }));
    }
  // The zstd row is compared with gzip on the same Node.
  if (zstdNode !== undefined && zstdNode !== process.execPath && compressions.includes('zstd'))
    for (const count of workers) {
      const same = variant({ node: zstdNode, compression: 'gzip', workers: count });
      found.push({ ...same, id: `${same.id}-zstd-node`, label: `${same.label}, zstd's Node` });
    }
  return found;
}

function variant(of: Pick<Variant, 'node' | 'compression' | 'workers' | 'level'>): Variant {
  const { compression, workers, level } = of;
  const suffix = level === undefined ? '' : `-level-${level}`;
  const plural = workers === 1 ? 'worker' : 'workers';
  return {
    ...of,
    id: `ours-${compression}-${workers}${suffix}`,
    label: `ours, ${compression}${level === undefined ? '' : ` level ${level}`}, ${workers} ${plural}`,
    extension: EXTENSIONS[compression],
  };
}

export function driverCommand(drivers: Drivers, node: string, job: ArchiveJob): Command {
  return { program: node, args: [drivers.archive, JSON.stringify(job)] };
}
