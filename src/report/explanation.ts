import type { StoredEntry } from '../session/stored-entries.ts';
import type { Outcome, Standing } from '../session/outcome.ts';
import { formatAge } from './format.ts';
import { formatBytes } from '../text/format-bytes.ts';
import { printable } from './printable.ts';

const NAME_WIDTH = 9;

/** What `key --explain` prints for one recipe. */
export function explanation({ key, ingredients, digest, runtime, standing }: Explained): string {
  const { files, salt, variables } = ingredients;
  const values = Object.entries(variables).map(([name, value]) => `${name}=${value}`);
  const paragraphs: readonly (readonly [name: string, lines: readonly string[]])[] = [
    ...files.map(({ path, sha256 }) => ['lockfile', [`${path}  sha256 ${sha256}`]] as const),
    ['salt', [salt === undefined ? 'none (CACHE_KEY_SALT)' : `"${salt}" (CACHE_KEY_SALT)`]],
    ['variables', [values.length === 0 ? 'none' : values.join(', ')]],
    ['hash', [`${digest.slice(0, 16)}, the first 16 digits of ${digest}`]],
    ['runtime', [runtime === '' ? 'left out (CACHE_KEY_RUNTIME=false)' : runtime]],
    ['stored', stored(standing)],
  ];
  return [printable(key), ...paragraphs.flatMap(([name, lines]) => paragraph(name, lines))].join('\n');
}

type Explained = Extract<Outcome, { type: 'explained' }>;

/** Puts the name in front of the first line only. */
function paragraph(name: string, lines: readonly string[]): string[] {
  return lines.map((line, i) => `  ${(i === 0 ? name : '').padEnd(NAME_WIDTH)}  ${printable(line)}`);
}

function stored(standing: Standing): string[] {
  switch (standing.type) {
    case 'stored':
      return [`yes: ${formatBytes(standing.entry.size)}, ${age(standing.entry)}`];
    case 'unknown':
      return [`not known: ${standing.reason}`];
    case 'missing': {
      const { nearest, differs } = standing;
      if (nearest === undefined) return ['no, nor any other entry of this recipe'];
      return [`no; the nearest is ${nearest.key}`, ...differs.map((text) => `differs in ${text}`)];
    }
  }
}

function age({ ageMs }: StoredEntry): string {
  return ageMs === undefined ? 'of unknown age' : `${formatAge(ageMs)} old`;
}
