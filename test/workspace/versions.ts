/** Small trees that tell which version they are, whole or mixed, and the restore of one as the command does it. */
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { hasLeftovers } from '../../src/workspace/places/bays.ts';
import { readReceipt, removeReceipts, writeReceipts } from '../../src/workspace/notes/receipt.ts';
import { clearLeftovers, openStaging } from '../../src/workspace/staging.ts';
import type { Staging, StagingOptions } from '../../src/workspace/types.ts';

/** Whole microseconds: exact after a restore, wherever the tree lands. */
export const TREE_TIME_US = 1_600_000_000_123_457n;

/** Files that both versions have, with different content, and some that only one has. */
export function makeVersion(dir: string, version: string, files = 4): void {
  if (isFileTarget(dir)) return makeFile(dir, version);
  mkdirSync(join(dir, 'pkg/lib'), { recursive: true });
  mkdirSync(join(dir, '.bin'));
  for (let n = 0; n < files; n++) writeFileSync(join(dir, `pkg/lib/${n}.js`), `${version} ${n}`);
  writeFileSync(join(dir, 'VERSION'), version);
  writeFileSync(join(dir, `only-${version}`), version);
  writeFileSync(latin1(`${dir}/${LATIN}-${version}`), version);
  symlinkSync(`../pkg/lib/0.js?${version}`, join(dir, '.bin/tool'));
  setTreeTime(dir);
}

function makeFile(path: string, version: string): void {
  writeFileSync(path, version);
  setTreeTime(path);
}

/** Node cuts off below microseconds. */
function setTreeTime(path: string): void {
  utimesSync(path, (Number(TREE_TIME_US) + 0.5) / 1e6, (Number(TREE_TIME_US) + 0.5) / 1e6);
}

/** A target that is a single file is known by its name. */
function isFileTarget(path: string): boolean {
  return path.endsWith('.cjs');
}

/** Of our own making, or mounted. */
const NOT_OF_A_VERSION = /^\.sandbox-cache-|^\.installed$|^\.cache$/;

/** `absent`, the version whose very files these are, or `mixed: …`. Receipts, markers and mounted children do not count. */
export function versionOf(dir: string, files = 4): string {
  if (isFileTarget(dir)) return existsSync(dir) ? readFileSync(dir, 'utf8') : 'absent';
  if (statSync(dir, { throwIfNoEntry: false })?.isDirectory() !== true) return 'absent';
  const found = listing(dir);
  const names = Object.keys(found);
  if (names.length === 0) return 'empty';
  const version = found['VERSION'] ?? '';
  const expected = [
    '.bin/tool',
    'VERSION',
    `${LATIN}-${version}`,
    `only-${version}`,
    ...Array.from({ length: files }, (_, n) => `pkg/lib/${n}.js`),
  ].sort();
  const wrong = names.filter((name) => !(found[name] ?? '').includes(version));
  const isWhole = version !== '' && wrong.length === 0 && names.sort().join() === expected.join();
  return isWhole ? version : `mixed: ${names.join(' ')}`;
}

/** Content by name; links by where they lead. */
function listing(dir: string, below = ''): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of readdirSync(latin1(dir + below), 'latin1')) {
    if (below === '' && NOT_OF_A_VERSION.test(name)) continue;
    const path = latin1(`${dir}${below}/${name}`);
    const stat = lstatSync(path);
    if (stat.isDirectory()) Object.assign(found, listing(dir, `${below}/${name}`));
    else {
      const content = stat.isSymbolicLink() ? readlinkSync(path) : readFileSync(path, 'utf8');
      found[`${below}/${name}`.slice(1)] = content;
    }
  }
  return found;
}

/** Not UTF-8 on disk. */
const LATIN = 'caf\xe9';

function latin1(path: string): Buffer {
  return Buffer.from(path, 'latin1');
}

export interface Restore {
  project: string;
  targets: readonly string[];
  /** Those of the targets that the entry holds. */
  present: readonly string[];
  version: string;
  files?: number;
  /** Of the new trees' own directories. */
  rootMode?: number;
}

const NEVER = new AbortController().signal;

/** Everything a restore does with the workspace, in its order. */
export async function restoreVersion(
  restore: Restore,
  more: Partial<StagingOptions> = {},
): Promise<'in place' | 'restored'> {
  const { project, targets, present, version } = restore;
  const options = { projectDir: project, targets, mayBeFiles: true, signal: NEVER, ...more };
  if (readReceipt(project, mainOf(restore))?.key === version) {
    if (hasLeftovers(project, mainOf(restore))) await clearLeftovers(options);
    return 'in place';
  }
  const staging = await openStaging(options);
  try {
    if (staging.waited && readReceipt(project, mainOf(restore))?.key === version) return 'in place';
    stageVersion(staging, restore);
    removeReceipts(project, targets, marker(targets));
    await staging.commit(present);
    confirmVersion(restore);
  } finally {
    await staging.close();
  }
  return 'restored';
}

export function stageVersion(staging: Staging, { present, version, files, rootMode }: Restore): void {
  for (const { prefix, dir } of staging.roots) {
    if (!present.includes(prefix)) continue;
    if (isFileTarget(prefix)) makeFile(dir, version);
    else makeVersion(dir, version, files);
    if (rootMode !== undefined) chmodSync(dir, rootMode);
  }
}

export function confirmVersion({ project, targets, present, version }: Restore): void {
  const receipt = {
    key: version,
    targets: [...present],
    witness: '',
    origin: 'unchecked',
    installSeconds: 0,
    bytes: 0,
    files: 0,
  };
  writeReceipts(project, receipt, { path: marker(targets), sha256: version });
}

export function mainOf({ targets }: Restore): string {
  const [main] = targets;
  if (main === undefined) throw new Error('a restore without targets');
  return main;
}

function marker(targets: readonly string[]): string {
  return `${targets[0]}/.installed`;
}

/** Paths under `dir` that a restore should not have left, mounted directories included. */
export function debris(dir: string): string[] {
  return (readdirSync(dir, { recursive: true }) as string[])
    .filter(
      (path) =>
        /\.sandbox-cache/.test(path) &&
        !/\.sandbox-cache-receipt\.json$|\.sandbox-cache-receipts(\/(\.gitignore|[^/]+\.cjs\.json))?$/.test(
          path,
        ),
    )
    .sort();
}
