/** Programs that single tests need and a machine with nothing but Node lacks. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { isCi } from './ci.ts';

/** Whether a test that needs them cannot run here. In CI it runs all the same, and fails: nothing may be skipped there unseen. */
export function lacks(...programs: readonly string[]): boolean {
  return !isCi(process.env) && programs.some((program) => pathOf(program) === undefined);
}

/** The full path of a program on PATH, or undefined. */
export function pathOf(program: string): string | undefined {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return folders.map((folder) => join(folder, program)).find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
