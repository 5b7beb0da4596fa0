/**
 * A tree counts as restored only with its receipt. The receipt sits in every target of the entry, so that
 * wiping one of several is noticed, and is written last, after commit and verification. The receipt of a
 * target that is a file lies beside it, in a directory that git ignores. On the start-up path: loads nothing
 * but fs.
 */
import { lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { systemCode } from '../../errors.ts';
import { readSmallText } from '../../files/read-small-file.ts';
import { replaceFile, UNFINISHED } from '../files/atomic-file.ts';
import { targetError } from '../files/errors.ts';
import { makeHidden } from '../files/hidden.ts';
import { keepTimes } from '../files/times.ts';

export const RECEIPT = '.sandbox-cache-receipt.json';
/** Holds the receipts of files, e.g. `.sandbox-cache-receipts/.pnp.cjs.json`. */
const FILE_RECEIPTS = '.sandbox-cache-receipts';

/** Written for old scripts, which look for the lockfile's SHA-256 in it. We never read it. */
export interface Marker {
  /** Relative to the project: `.bundle/.installed`, `node_modules/.installed`. */
  path: string;
  /** Of the lockfile, 64 hex digits. */
  sha256: string;
}

/**
 * Returns the receipt of what is in place, if every target that it lists has exactly the same one.
 * @param mainTarget the directory that every entry has, relative to the project. It is known without reading
 *   a lockfile, which would take longer than the rest of a restore that has nothing to do
 */
export function readReceipt(projectDir: string, mainTarget: string): Receipt | undefined {
  const text = readText(receiptPath(projectDir, mainTarget));
  const receipt = text === undefined ? undefined : parseReceipt(text);
  if (!receipt?.targets.includes(mainTarget)) return undefined;
  const others = receipt.targets.filter((target) => target !== mainTarget);
  return others.every((target) => readText(receiptPath(projectDir, target)) === text) ? receipt : undefined;
}

/**
 * Records that the trees in place are verified. Writes the marker, then a receipt in each target, the main
 * target last. The times of the targets do not change.
 * @throws CacheError TARGET_UNWRITABLE, DISK_FULL
 */
export function writeReceipts(projectDir: string, receipt: Receipt, marker: Marker): void {
  writeMarker(projectDir, receipt.targets, marker);
  const text = `${JSON.stringify(receipt, undefined, 2)}\n`;
  for (const target of [...receipt.targets].reverse()) {
    const path = receiptPath(projectDir, target);
    try {
      if (isFile(join(projectDir, target))) makeHidden(dirname(path));
      keepTimes(dirname(path), () => replaceFile(path, text, 0o644));
    } catch (error) {
      throw targetError(error, `write the receipt of ${target}`);
    }
  }
}

/**
 * Removes the receipts of all targets, and the marker, because the trees are about to change.
 * @throws CacheError TARGET_UNWRITABLE
 */
export function removeReceipts(projectDir: string, targets: readonly string[], marker: string): void {
  dropReceipts(projectDir, targets);
  removeIn(join(projectDir, dirname(marker)), [basename(marker)], marker);
}

/** Removes the receipts, not the marker. @throws CacheError TARGET_UNWRITABLE */
export function dropReceipts(projectDir: string, targets: readonly string[]): void {
  for (const target of targets) {
    // Remove both kinds: a target that is a file now may have been a directory, and it may be gone.
    for (const path of [directoryReceipt(projectDir, target), fileReceipt(projectDir, target)])
      removeIn(dirname(path), [basename(path)], `the receipt of ${target}`);
  }
}

function receiptPath(projectDir: string, target: string): string {
  return isFile(join(projectDir, target))
    ? fileReceipt(projectDir, target)
    : directoryReceipt(projectDir, target);
}

function directoryReceipt(projectDir: string, target: string): string {
  return join(projectDir, target, RECEIPT);
}

function fileReceipt(projectDir: string, target: string): string {
  return join(projectDir, dirname(target), FILE_RECEIPTS, `${basename(target)}.json`);
}

function isFile(path: string): boolean {
  try {
    return lstatSync(path).isFile();
  } catch {
    return false;
  }
}

function removeIn(dir: string, names: readonly string[], shown: string): void {
  try {
    keepTimes(dir, () => {
      const here = readdirSync(dir).filter((name) => names.includes(name) || name.startsWith(UNFINISHED));
      for (const name of here) rmSync(join(dir, name), { recursive: true, force: true });
    });
  } catch (error) {
    if (systemCode(error) === 'ENOENT' || systemCode(error) === 'ENOTDIR') return;
    throw targetError(error, `remove ${shown}`);
  }
}

/**
 * Without the marker, old scripts only install once more. So it is no error if the project is not writable.
 */
function writeMarker(projectDir: string, targets: readonly string[], { path, sha256 }: Marker): void {
  const dir = join(projectDir, dirname(path));
  try {
    const found = lstatSync(dir, { throwIfNoEntry: false });
    if (found === undefined) mkdirSync(dir, { mode: 0o755 });
    // A target may be a symlink (see places.ts). Nothing else is written through a symlink.
    else if (!found.isDirectory() && !targets.includes(dirname(path))) return;
    keepTimes(dir, () => replaceFile(join(projectDir, path), `${sha256}\n`, 0o644));
  } catch (error) {
    const code = systemCode(error);
    if (code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS' && code !== 'ENOTDIR') {
      throw targetError(error, `write ${path}`);
    }
  }
}

/** Larger than any receipt: 1,000 targets of 200 characters each. */
const MAX_RECEIPT_BYTES = 256 * 1024;

/** @returns undefined for anything but a plain file of a plausible size */
function readText(path: string): string | undefined {
  try {
    return readSmallText(path, { maxBytes: MAX_RECEIPT_BYTES, followLinks: false });
  } catch {
    return undefined;
  }
}

function parseReceipt(text: string): Receipt | undefined {
  try {
    const value = JSON.parse(text) as Partial<Receipt> | null;
    const { key, targets, witness, origin, installSeconds, bytes, files, needs } = value ?? {};
    if (typeof key !== 'string' || typeof witness !== 'string' || typeof origin !== 'string')
      return undefined;
    if (!Array.isArray(targets) || !targets.every((target) => typeof target === 'string')) return undefined;
    if (typeof installSeconds !== 'number' || typeof bytes !== 'number' || typeof files !== 'number')
      return undefined;
    const known = { key, targets, witness, origin, installSeconds, bytes, files };
    return typeof needs === 'string' ? { ...known, needs } : known;
  } catch {
    return undefined;
  }
}

/**
 * - `installed`: an installer made it here.
 * - `unchecked`: restored from an entry; no signature was asked for.
 * - 64 hex digits: restored from an entry that this key has signed. See signing-keys.ts.
 */
export type Origin = 'installed' | 'unchecked' | (string & {});

/** Written into every target after commit and verification. See receipt.ts. */
export interface Receipt {
  /** The full key of the entry. */
  key: string;
  /** All targets of the entry, relative to the project. */
  targets: string[];
  /** Opaque. It differs once an installer has worked in the targets. Empty if nothing could show that. */
  witness: string;
  /** Where the tree comes from. */
  origin: Origin;
  /** Seconds, for result lines. 0 when unknown. */
  installSeconds: number;
  /** Bytes of tar and number of tree entries. */
  bytes: number;
  files: number;
  /** What its compiled files need of a machine, see compiled/needs.ts. @default nothing */
  needs?: string;
}
