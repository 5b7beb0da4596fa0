/** Programs that single tests need and a machine with nothing but Node lacks. */
import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { isCi } from './ci.ts';

/** Whether a test that needs them cannot run here. In CI it runs all the same, and fails: nothing may be skipped there unseen. */
export function lacks(...programs: readonly string[]): boolean {
  return !isCi(process.env) && !programs.every(isOnPath);
}

function isOnPath(program: string): boolean {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter(Boolean);
  return folders.some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
