/** Versions and requirements as RubyGems has them (rubygems/version.rb, rubygems/requirement.rb). */

/** `1.2.0`, `3.4.dev`, `7.1.0.rc1`; none with `-`, which RubyGems reads as `.pre.`. */
const VERSION = /^\d+(?:\.[0-9A-Za-z]+)*$/;
const REQUIREMENT = /^(=|!=|>=|<=|~>|>|<)? *(\S+)$/;

type Segments = readonly (number | string)[];

/**
 * Returns the same text for requirements that mean the same: `~> 3.0, >= 3.0.1` in any order; `3.0` as `=
 * 3.0`.
 * @returns undefined if one of them is not understood
 */
export function canonicalRequirement(parts: readonly string[]): string | undefined {
  const all = parts.map((part) => {
    const [, operator = '=', version = ''] = REQUIREMENT.exec(part.trim()) ?? [];
    return VERSION.test(version) ? `${operator} ${version}` : undefined;
  });
  if (all.includes(undefined)) return undefined;
  return all.length === 0 ? '>= 0' : [...new Set(all)].sort().join(', ');
}

/** @returns undefined if the version or the requirement is not understood */
export function satisfies(version: string, parts: readonly string[]): boolean | undefined {
  const canonical = canonicalRequirement(parts);
  if (canonical === undefined || !VERSION.test(version)) return undefined;
  // As Bundler does: no requirement at all admits prereleases of version 0 as well.
  if (canonical === '>= 0') return true;
  return canonical.split(', ').every((part) => {
    const [operator = '', wanted = ''] = part.split(' ');
    return holds(segments(version), operator, segments(wanted));
  });
}

function holds(version: Segments, operator: string, wanted: Segments): boolean {
  const order = compare(version, wanted);
  switch (operator) {
    case '=':
      return order === 0;
    case '!=':
      return order !== 0;
    case '>':
      return order > 0;
    case '<':
      return order < 0;
    case '>=':
      return order >= 0;
    case '<=':
      return order <= 0;
    default:
      return order >= 0 && compare(release(version), bumped(wanted)) < 0;
  }
}

/** Runs of digits and of letters: `3.4.rc1` is 3, 4, rc, 1. */
function segments(version: string): Segments {
  return (version.match(/\d+|[A-Za-z]+/g) ?? []).map((part) => (/\d/.test(part) ? Number(part) : part));
}

/** A word sorts before every number, so that prereleases come before their release. */
function compare(a: Segments, b: Segments): number {
  const [left, right] = [trimmed(a), trimmed(b)];
  for (let index = 0; index < Math.max(left.length, right.length); index++) {
    const [l, r] = [left[index] ?? 0, right[index] ?? 0];
    if (l === r) continue;
    if (typeof l === typeof r) return l < r ? -1 : 1;
    return typeof l === 'string' ? -1 : 1;
  }
  return 0;
}

/** Without zeros before the first word and at the end: `1.0.rc1` is `1.rc1`, and `1.0` is `1`. */
function trimmed(all: Segments): Segments {
  const numbers = release(all);
  const withoutZeros = (part: Segments): Segments =>
    part.slice(0, part.findLastIndex((segment) => segment !== 0) + 1);
  return [...withoutZeros(numbers), ...withoutZeros(all.slice(numbers.length))];
}

function release(all: Segments): Segments {
  const word = all.findIndex((segment) => typeof segment === 'string');
  return word < 0 ? all : all.slice(0, word);
}

/** What `~>` stays below: `1.2.3` → `1.3`, `1` → `2`. */
function bumped(all: Segments): Segments {
  const numbers = release(all);
  const kept = numbers.length > 1 ? numbers.slice(0, -1) : numbers;
  return [...kept.slice(0, -1), Number(kept.at(-1) ?? 0) + 1];
}
