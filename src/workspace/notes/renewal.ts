/** When this machine last renewed the entry of a project, or tried to. */
import { readSmallText } from '../../files/read-small-file.ts';
import { replaceFile } from '../files/atomic-file.ts';
import { makePrivateDir, privatePath } from './private-dir.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** A key has at most 1,024 bytes. */
const MAX_NOTE_BYTES = 16 * 1024;

/**
 * Notes that the entry is about to be renewed.
 * @returns whether it may be renewed: at most once a day. Also false if the note cannot be written
 */
export function mayRenew(projectDir: string, recipe: string, key: string): boolean {
  try {
    makePrivateDir(projectDir);
    const path = privatePath(projectDir, `renewal-${recipe}`, 'json');
    const last = read(path);
    const sinceMs = Date.now() - (last?.atMs ?? 0);
    if (last?.key === key && sinceMs >= 0 && sinceMs < DAY_MS) return false;
    replaceFile(path, `${JSON.stringify({ key, atMs: Date.now() })}\n`, 0o600);
    return true;
  } catch {
    return false;
  }
}

function read(path: string): { key: string; atMs: number } | undefined {
  try {
    const { key, atMs } = JSON.parse(
      readSmallText(path, { maxBytes: MAX_NOTE_BYTES, followLinks: false }),
    ) as Record<string, unknown>;
    return typeof key === 'string' && typeof atMs === 'number' ? { key, atMs } : undefined;
  } catch {
    return undefined;
  }
}
