import type { Outcome } from '../commands/outcome.ts';
import { formatAge, formatBytes } from './format.ts';

/** What `key --explain` prints for one recipe. */
export function explanation(outcome: Extract<Outcome, { type: 'explained' }>): string {
  const { ingredients, digest, runtime } = outcome;
  const variables = Object.entries(ingredients.variables ?? {}).map(([name, value]) => `${name}=${value}`);
  const rows: [string, string][] = [
    ...ingredients.files.map(({ path, sha256 }): [string, string] => [
      'lockfile',
      `${path}  sha256 ${sha256}`,
    ]),
    [
      'salt',
      ingredients.salt === undefined ? 'none (CACHE_KEY_SALT)' : `"${ingredients.salt}" (CACHE_KEY_SALT)`,
    ],
    ['variables', variables.length === 0 ? 'none' : variables.join(', ')],
    ['hash', `${digest.slice(0, 16)}, the first 16 digits of ${digest}`],
    ['runtime', runtime === '' ? 'left out (CACHE_KEY_RUNTIME=false)' : runtime],
    ['stored', ...stored(outcome)],
  ];
  return [outcome.key, ...rows.map(([name, value]) => `  ${name.padEnd(9)}  ${value}`)].join('\n');
}

function stored({ standing }: Extract<Outcome, { type: 'explained' }>): [string] {
  switch (standing.type) {
    case 'stored':
      return [
        `yes: ${formatBytes(standing.entry.size)}, ${formatAge(Date.now() - standing.entry.modified.getTime())} old`,
      ];
    case 'unknown':
      return [`not known: ${standing.reason}`];
    case 'missing': {
      if (standing.nearest === undefined) return ['no, nor any other entry of this recipe'];
      const lines = [
        `no; the nearest is ${standing.nearest.key}`,
        ...standing.differs.map((text) => `differs in ${text}`),
      ];
      return [lines.join(`\n${' '.repeat(13)}`)];
    }
  }
}
