/**
 * The result of a project's last `save --background`. Nobody watches that process, so it writes its JSON
 * document to a file, and the next run reports a failure.
 */
import { openSync, rmSync } from 'node:fs';
import { readSmallText } from '../../files/read-small-file.ts';
import { targetError } from '../files/errors.ts';
import { makePrivateDir, privateDir, privatePath, requirePrivate } from './private-dir.ts';

const MAX_BYTES = 64 * 1024;

/**
 * @returns a file descriptor for the stdout of the process
 * @throws CacheError TARGET_REFUSED, TARGET_UNWRITABLE, DISK_FULL
 */
export function openBackgroundReport(projectDir: string, recipe: string): number {
  try {
    makePrivateDir(projectDir);
    const path = reportPath(projectDir, recipe);
    // An earlier process may still be writing to the file of this name, so make a new one.
    rmSync(path, { force: true });
    return openSync(path, 'wx', 0o600);
  } catch (error) {
    throw targetError(error, `write a report in ${privateDir()}`);
  }
}

/**
 * Reads the report, and removes it if it is about a failure.
 * @returns what went wrong; undefined when all is well, or not known yet
 */
export function takeBackgroundFailure(projectDir: string, recipe: string): string | undefined {
  try {
    requirePrivate(projectDir);
    const path = reportPath(projectDir, recipe);
    const text = readSmallText(path, { maxBytes: MAX_BYTES, followLinks: false });
    const failure = failureIn(JSON.parse(text) as Partial<Report>);
    rmSync(path, { force: true });
    return failure;
  } catch {
    return undefined;
  }
}

/** As `--json` prints it, see docs/json.md. */
interface Report {
  exitCode: number;
  error: { message: string };
  results: { type: string; error?: { message: string } }[];
}

function failureIn({ exitCode, error, results }: Partial<Report>): string | undefined {
  if (exitCode === 0) return undefined;
  const [result] = results ?? [];
  const message: unknown = error?.message ?? result?.error?.message ?? result?.type;
  return typeof message === 'string' ? message : `it ended with ${exitCode}`;
}

function reportPath(projectDir: string, recipe: string): string {
  return privatePath(projectDir, `background-${recipe}`, 'json');
}
