import { homedir } from 'node:os';

/**
 * The directory with the user's own settings. A user who is known by a number alone, as in some containers,
 * has none: there is nothing to find below `/`, where Node would throw.
 */
export function homeOf(env: Readonly<Record<string, string>>): string {
  try {
    return env['HOME'] ?? homedir();
  } catch {
    return '/';
  }
}
