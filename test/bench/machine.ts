/** Where the figures were taken: they mean nothing without it. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, statfsSync } from 'node:fs';
import { arch, availableParallelism, cpus, loadavg, release, totalmem } from 'node:os';
import { join } from 'node:path';

export interface Machine {
  date: string;
  cores: number;
  cpu: string;
  memoryBytes: number;
  system: string;
  node: string;
  /** The Node of the zstd rows. */
  zstdNode: string | undefined;
  scratchFileSystem: string;
  /** Version line of each program compared with; undefined: not installed, so not measured. */
  tools: Record<Tool, string | undefined>;
  /** One-minute load before the first measurement: far above 0 and the figures are of a busy machine. */
  loadBefore: number;
}

const TOOLS = ['tar', 'gzip', 'bsdtar', 'pigz', 'zstd', 'aws', 'radosgw', 'bundle'] as const;
export type Tool = (typeof TOOLS)[number];

/** @param zstdNode path of a Node with zstd */
export function describeMachine(scratchDir: string, zstdNode: string | undefined): Machine {
  return {
    date: new Date().toISOString().slice(0, 10),
    cores: availableParallelism(),
    cpu: cpus()[0]?.model.trim() ?? 'unknown',
    memoryBytes: totalmem(),
    system: `${process.platform} ${release()} ${arch()}`,
    node: process.version,
    zstdNode: zstdNode === undefined ? undefined : version(zstdNode),
    scratchFileSystem: fileSystemOf(scratchDir),
    tools: Object.fromEntries(TOOLS.map((tool) => [tool, version(tool)])) as Machine['tools'],
    loadBefore: loadavg()[0] ?? 0,
  };
}

/**
 * A Node that has zstd: the one asked for, the running one, or Node 24 as npm packages it.
 * @returns undefined where none can be had
 */
export function findZstdNode(asked: string | undefined, corporaDir: string): string | undefined {
  if (asked !== undefined) return asked;
  if (hasZstd(process.execPath)) return process.execPath;
  const prefix = join(corporaDir, 'node-24');
  const installed = join(prefix, 'node_modules/node/bin/node');
  if (!existsSync(installed)) {
    mkdirSync(prefix, { recursive: true });
    output('npm', ['install', '--no-save', '--no-audit', '--no-fund', '--prefix', prefix, 'node@24']);
  }
  return hasZstd(installed) ? installed : undefined;
}

function hasZstd(node: string): boolean {
  return output(node, ['-p', 'typeof require("zlib").zstdDecompressSync'])?.trim() === 'function';
}

/** The program itself: a version manager's shim in front of it would add its own time to a rival's. */
export function programOf(tool: Tool): string {
  return output('pyenv', ['which', tool])?.trim() ?? tool;
}

function version(tool: string): string | undefined {
  const printed = output(tool, ['--version']) ?? output(tool, ['-V']);
  return printed?.trim().split('\n')[0]?.replaceAll('*', '').trim();
}

/** @returns undefined when it cannot be run or fails */
function output(program: string, args: readonly string[]): string | undefined {
  try {
    return execFileSync(program, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch {
    return undefined;
  }
}

/** Names of the magic numbers of statfs(2) that a benchmark is likely to meet. */
const FILE_SYSTEMS: Record<number, string> = {
  0x01021994: 'tmpfs',
  0xef53: 'ext4',
  0x58465342: 'xfs',
  0x9123683e: 'btrfs',
  0x794c7630: 'overlayfs',
};

export function fileSystemOf(dir: string): string {
  const { type } = statfsSync(dir);
  return FILE_SYSTEMS[type] ?? `0x${type.toString(16)}`;
}
