import { readdirSync } from 'node:fs';

/** What is in a directory; nothing where there is none, or where it may not be read. */
export function namesIn(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
