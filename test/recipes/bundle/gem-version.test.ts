import { spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { canonicalRequirement, satisfies } from '../../../src/recipes/bundle/gem-version.ts';

const hasRuby = spawnSync('ruby', ['--version']).status === 0;
const VERSIONS =
  '0 0.1.a 1 1.0 1.0.0.rc1 1.0.rc1 1.0.1 1.1 1.10 1.9.9 2 2.0.0 3.3.10 3.4.0 3.4.dev 3.4.0.dev 3.4 10.0.a.1 10'.split(
    ' ',
  );
const OPERATORS = ['=', '!=', '>', '<', '>=', '<=', '~>'];

describe.skipIf(!hasRuby)('against RubyGems', () => {
  it('every version meets every requirement as there', () => {
    const script =
      'vs, os = ARGV.map { |a| a.split(" ") }; vs.product(os, vs) { |v, o, w| puts Gem::Requirement.new("#{o} #{w}").satisfied_by?(Gem::Version.new(v)) }';
    const { stdout } = spawnSync('ruby', ['-e', script, VERSIONS.join(' '), OPERATORS.join(' ')], {
      encoding: 'utf8',
    });
    const expected = stdout.trim().split('\n');
    const cases = VERSIONS.flatMap((v) =>
      OPERATORS.flatMap((o) => VERSIONS.map((w) => [v, `${o} ${w}`] as const)),
    );
    expect(expected).toHaveLength(cases.length);
    // Bundler admits prereleases of 0 where nothing is required at all.
    const isSame = ([v, r]: readonly [string, string], index: number): boolean =>
      r === '>= 0' || String(satisfies(v, [r])) === expected[index];
    expect(cases.filter((one, index) => !isSame(one, index))).toEqual([]);
  });
});

it('gives requirements that mean the same one text', () => {
  expect(canonicalRequirement(['>= 3.0.1', '~> 3.0'])).toBe(canonicalRequirement(['~> 3.0', ' >= 3.0.1']));
  expect(canonicalRequirement(['3.0'])).toBe('= 3.0');
  expect(canonicalRequirement([])).toBe('>= 0');
  expect(canonicalRequirement(['1.0-java'])).toBeUndefined();
  expect(satisfies('1.0-x', ['> 0'])).toBeUndefined();
});
