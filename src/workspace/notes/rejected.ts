/**
 * Notes an entry that failed its checks here, so that the next save here replaces exactly that object.
 *
 * A note decides what a save may replace. If a checkout could bring one along, a pull request could replace
 * everybody's entry with its own tree. So notes lie outside the project (`private-dir.ts`).
 */
import { rmSync } from 'node:fs';
import { readSmallText } from '../../files/read-small-file.ts';
import { replaceFile } from '../files/atomic-file.ts';
import { targetError } from '../files/errors.ts';
import { makePrivateDir, privateDir, privatePath, requirePrivate } from './private-dir.ts';

export interface Rejected {
  key: string;
  /** ETag of the object that failed. Another object under the same key must not be replaced. */
  etag: string;
  /** The id of the save that wrote it, if it has one. It says more than the ETag. */
  writeId?: string | undefined;
  reason: string;
  /**
   * What the settings left out of the tree at that time, if it failed because something was missing (see
   * `Recipe.leftOut`).
   */
  leftOut?: string;
}

/** @throws CacheError TARGET_REFUSED, TARGET_UNWRITABLE, DISK_FULL */
export function noteRejected(projectDir: string, recipe: string, note: Rejected): void {
  try {
    makePrivateDir(projectDir);
    replaceFile(notePath(projectDir, recipe), `${JSON.stringify(note, undefined, 2)}\n`, 0o600);
  } catch (error) {
    throw targetError(error, `write a note in ${privateDir()}`);
  }
}

/** @returns undefined when there is no note, or none that can be trusted */
export function readRejected(projectDir: string, recipe: string): Rejected | undefined {
  try {
    requirePrivate(projectDir);
    const text = readSmallText(notePath(projectDir, recipe), {
      maxBytes: MAX_NOTE_BYTES,
      followLinks: false,
    });
    const { key, etag, writeId, reason, leftOut } = JSON.parse(text) as Partial<Rejected>;
    if (typeof key !== 'string' || typeof etag !== 'string' || typeof reason !== 'string') return undefined;
    return {
      key,
      etag,
      ...(typeof writeId === 'string' ? { writeId } : {}),
      reason,
      ...(typeof leftOut === 'string' ? { leftOut } : {}),
    };
  } catch {
    return undefined;
  }
}

/** @throws CacheError TARGET_UNWRITABLE */
export function clearRejected(projectDir: string, recipe: string): void {
  if (readRejected(projectDir, recipe) === undefined) return;
  const path = notePath(projectDir, recipe);
  try {
    rmSync(path, { force: true });
  } catch (error) {
    throw targetError(error, `remove ${path}`);
  }
}

/** A key has at most 1,024 bytes; a reason may name a path or two. */
const MAX_NOTE_BYTES = 64 * 1024;

function notePath(projectDir: string, recipe: string): string {
  return privatePath(projectDir, `rejected-${recipe}`, 'json');
}
