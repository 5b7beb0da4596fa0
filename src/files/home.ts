import { homedir } from 'node:os';

/**
 * The directory with the user's own settings. A user who has only a number, as in some containers, has none;
 * Node would throw. Then it is `/`, below which there is nothing to find.
 */
export function homeOf(env: Readonly<Record<string, string>>): string {
  try {
    return env['HOME'] ?? homedir();
  } catch {
    return '/';
  }
}
