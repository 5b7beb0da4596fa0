import { readdirSync } from 'node:fs';

/** The names in a directory. None if the directory does not exist or cannot be read. */
export function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
