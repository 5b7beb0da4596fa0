/** Which recipe somebody may have meant. */
import { editDistance } from '../../text/edit-distance.ts';

/** Other names that people type. */
const ALIASES: Readonly<Record<string, string>> = {
  bundler: 'bundle',
  gem: 'bundle',
  gems: 'bundle',
  ruby: 'bundle',
  node: 'npm',
  node_modules: 'npm',
};

export function isNear(typed: string, name: string): boolean {
  const lower = typed.toLowerCase();
  return ALIASES[lower] === name || editDistance(lower, name) <= 2;
}
