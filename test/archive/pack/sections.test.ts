/** Where a tree is cut: by names, so that what changes in one package moves nothing of the others. */
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { headerLength, paddedLength, type TarEntry } from '../../../src/archive/format/tar-header.ts';
import { inSections } from '../../../src/archive/pack/sections.ts';
import { bundleRecipe } from '../../../src/recipes/bundle/recipe.ts';
import { npmRecipe } from '../../../src/recipes/npm/recipe.ts';

const MEBIBYTE = 1024 * 1024;
const NPM = npmRecipe.packages!;
const BUNDLE = bundleRecipe.packages!;

function file(path: string, size = 100_000): TarEntry {
  return { type: '0', path, linkPath: '', mode: 0o644, size, mtimeUs: 0 };
}

function directory(path: string): TarEntry {
  return { ...file(`${path}/`, 0), type: '5' };
}

function link(path: string): TarEntry {
  return { ...file(path, 0), type: '2', linkPath: '../a' };
}

function cut(entries: readonly TarEntry[], packages: readonly string[] = NPM): string[][] {
  return [...inSections(entries, packages)].map((section) => section.map(({ path }) => path));
}

function lengthOf(section: readonly TarEntry[]): number {
  return section.reduce((sum, entry) => sum + headerLength(entry) + paddedLength(entry.size), 0);
}

/** As a walk finds a node_modules of these packages. */
function npmTree(sizes: ReadonlyMap<string, number>): TarEntry[] {
  const packages = [...sizes].sort(([a], [b]) => (a < b ? -1 : 1));
  return [
    file('node_modules/.package-lock.json', 1000 * sizes.size),
    ...packages.map(([name]) => link(`node_modules/.bin/${name}`)),
    directory('node_modules/.bin'),
    ...packages.flatMap(([name, size]) => [
      file(`node_modules/${name}/package.json`, 2000),
      file(`node_modules/${name}/lib/index.js`, size),
      directory(`node_modules/${name}/lib`),
      directory(`node_modules/${name}`),
    ]),
    directory('node_modules'),
  ];
}

/** Sizes as real packages have them: most are small, few are megabytes. */
const packageSizes = fc
  .array(
    fc.tuple(
      fc.stringMatching(/^[a-z][a-z0-9-]{2,20}$/),
      fc.oneof(
        { arbitrary: fc.integer({ min: 1000, max: 200_000 }), weight: 12 },
        { arbitrary: fc.integer({ min: 200_000, max: 1_500_000 }), weight: 3 },
        { arbitrary: fc.integer({ min: 2_500_000, max: 20_000_000 }), weight: 1 },
      ),
    ),
    { minLength: 200, maxLength: 500 },
  )
  .map((pairs) => new Map(pairs));

/** Files as a walk finds them, with their directories. A path that is both is a directory. */
function walked(files: ReadonlyMap<string, number>): TarEntry[] {
  const children = new Map<string, Set<string>>();
  for (const path of files.keys()) {
    const segments = path.split('/');
    for (let n = 1; n < segments.length; n++) {
      const dir = segments.slice(0, n).join('/');
      children.set(dir, (children.get(dir) ?? new Set()).add(segments.slice(0, n + 1).join('/')));
    }
  }
  const visit = (dir: string): TarEntry[] => {
    const inside = [...(children.get(dir) ?? [])].toSorted();
    return [
      ...inside.filter((path) => !children.has(path)).map((path) => file(path, files.get(path))),
      ...inside.filter((path) => children.has(path)).flatMap(visit),
      directory(dir),
    ];
  };
  return visit('node_modules');
}

/** Bytes of tar in sections that are not, entry for entry, among those before. */
function newBytes(before: readonly TarEntry[], after: readonly TarEntry[]): number {
  const text = (section: readonly TarEntry[]): string => section.map((e) => `${e.path} ${e.size}`).join('\n');
  const known = new Set([...inSections(before, NPM)].map(text));
  return [...inSections(after, NPM)].reduce(
    (sum, section) => sum + (known.has(text(section)) ? 0 : lengthOf(section)),
    0,
  );
}

describe('sections', () => {
  it('hold every entry once, and 8 MiB at most, or one package, or what all have in common', () => {
    fc.assert(
      fc.property(packageSizes, (sizes) => {
        const entries = npmTree(sizes);
        const sections = [...inSections(entries, NPM)];
        const shared = sections.pop()!;
        expect(shared.at(-1)!.path).toBe('node_modules/');
        const own = entries.filter((entry) => !shared.includes(entry));
        const isLoose = ({ path }: TarEntry): boolean => /^node_modules\/\.(bin\/|package-lock)/.test(path);
        expect(sections.flat()).toEqual([...own.filter((e) => !isLoose(e)), ...own.filter(isLoose)]);
        expect(shared).toEqual(entries.filter((entry) => shared.includes(entry)));
        for (const section of sections) {
          const names = new Set(section.map(({ path }) => path.split('/')[1]));
          expect(lengthOf(section) <= 8 * MEBIBYTE || names.size === 1).toBe(true);
        }
      }),
      { seed: 3, numRuns: 20 },
    );
  });

  it('stay what they are around a package that grows, is added or is removed', () => {
    const shares: number[] = [];
    fc.assert(
      fc.property(
        packageSizes,
        fc.nat(),
        fc.nat(2),
        fc.integer({ min: 1, max: 60_000 }),
        (sizes, nth, how, by) => {
          const names = [...sizes.keys()];
          const name = names[nth % names.length]!;
          const changed = new Map(sizes);
          if (how === 0) changed.set(name, sizes.get(name)! + by);
          else if (how === 1) changed.set(`${name}-more`, by);
          else changed.delete(name);
          const before = npmTree(sizes);
          const after = npmTree(changed);
          // What is new whatever the cut: the package itself, and what is not of any package.
          const own = changed.get(name) ?? 0;
          shares.push(Math.max(0, newBytes(before, after) - own) / lengthOf(after));
        },
      ),
      { seed: 11, numRuns: 60 },
    );
    shares.sort((a, b) => a - b);
    // Of trees of 100 to 400 MB. Sections that end where 8 MiB are full are all new behind the change: half a tree.
    expect(shares[Math.floor(shares.length / 2)]).toBeLessThan(0.04);
    expect(shares[Math.floor(shares.length * 0.9)]).toBeLessThan(0.1);
  });

  it('keep what belongs to no package apart from packages, and behind them', () => {
    const entries = npmTree(
      new Map([
        ['a', 10],
        ['b', 10],
      ]),
    );
    expect(cut(entries)).toEqual([
      expect.arrayContaining(['node_modules/a/package.json', 'node_modules/b/lib/', 'node_modules/b/']),
      ['node_modules/.package-lock.json', 'node_modules/.bin/a', 'node_modules/.bin/b', 'node_modules/.bin/'],
      ['node_modules/'],
    ]);
  });

  it('have no hard link before the file that it is another name of', () => {
    const hardLink = {
      ...file('node_modules/b/same', 0),
      type: '1',
      linkPath: 'node_modules/.first',
    } as const;
    const entries = [
      file('node_modules/.first'),
      file('node_modules/a/index.js', 3 * MEBIBYTE),
      hardLink,
      file('node_modules/c/index.js'),
    ];
    expect(cut(entries)).toEqual([
      ['node_modules/a/index.js'],
      ['node_modules/.first'],
      ['node_modules/b/same', 'node_modules/c/index.js'],
    ]);
    // Another name of a file in a package holds nothing back.
    const others = entries.map((entry) =>
      entry === hardLink ? { ...hardLink, linkPath: 'node_modules/a/index.js' } : entry,
    );
    expect(cut(others).at(-1)).toEqual(['node_modules/.first']);
  });

  it('hold a large package alone, a nested one apart from the one it is in', () => {
    const large = 3 * MEBIBYTE;
    const sections = cut([
      file('node_modules/@s/a/one.js'),
      directory('node_modules/@s/a'),
      file('node_modules/@s/b/two.js', large),
      directory('node_modules/@s/b'),
      directory('node_modules/@s'),
      file('node_modules/c/index.js'),
      file('node_modules/c/node_modules/@s/d/large.js', large),
      directory('node_modules/c/node_modules/@s/d'),
      directory('node_modules/c/node_modules/@s'),
      directory('node_modules/c/node_modules'),
      file('node_modules/c/src/index.js'),
      directory('node_modules/c/src'),
      directory('node_modules/c'),
      directory('node_modules'),
    ]);
    expect(sections.pop()).toEqual(['node_modules/@s/', 'node_modules/c/', 'node_modules/']);
    expect(sections.map(([first]) => first)).toEqual([
      'node_modules/@s/a/one.js',
      'node_modules/@s/b/two.js',
      'node_modules/c/index.js',
      'node_modules/c/node_modules/@s/d/large.js',
      'node_modules/c/src/index.js',
    ]);
  });

  it('have no directory of which something is in another, but in the last', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.stringMatching(/^[ab](\/(node_modules|[ab@]|@s)){0,5}$/), fc.nat(6_000_000))),
        (files) => {
          const entries = walked(new Map(files.map(([path, size]) => [`node_modules/${path}`, size])));
          for (const packages of [NPM, []]) {
            const sections = [...inSections(entries, packages)].map((section) =>
              section.map(({ path }) => path),
            );
            expect(sections.flat().toSorted()).toEqual(entries.map(({ path }) => path).toSorted());
            sections.forEach((section, n) => {
              for (const dir of section.filter((path) => path.endsWith('/'))) {
                const others = sections.flatMap((other, m) => (m === n ? [] : other));
                const isSplit = others.some((path) => path !== dir && path.startsWith(dir));
                expect(isSplit, `${dir} in ${n} of ${sections.length}`).toBe(
                  isSplit && n === sections.length - 1,
                );
              }
            });
            // Each after all that is in it.
            const order = sections.flat();
            order.forEach((path, at) => {
              if (path.endsWith('/')) expect(order.findLastIndex((other) => other.startsWith(path))).toBe(at);
            });
          }
        },
      ),
      { seed: 5, numRuns: 200 },
    );
  });

  it('know gems, their extensions and specifications', () => {
    const base = 'vendor/bundle/ruby/3.1.0';
    const large = 3 * MEBIBYTE;
    const sections = cut(
      [
        file(`${base}/bin/rake`, large),
        directory(`${base}/bin`),
        file(`${base}/bundler/gems/extensions/x86_64-linux/3.1.0/git-abc/git.so`, large),
        file(`${base}/bundler/gems/git-abc/git.rb`, large),
        file(`${base}/extensions/x86_64-linux/3.1.0/one-1.0/one.so`, large),
        file(`${base}/extensions/x86_64-linux/3.1.0/two-1.0/two/two.so`, large),
        file(`${base}/gems/one-1.0/lib/one.rb`, MEBIBYTE),
        file(`${base}/gems/one-1.0/one.gemspec`, MEBIBYTE),
        file(`${base}/gems/two-1.0/two.rb`, large),
        file(`${base}/specifications/one-1.0.gemspec`, MEBIBYTE),
        file(`${base}/specifications/two-1.0.gemspec`, MEBIBYTE),
      ],
      BUNDLE,
    );
    expect(sections.map((section) => section.length)).toEqual([1, 1, 1, 1, 2, 1, 2, 2]);
  });

  it('take each directory for a package where nobody says what one is', () => {
    const dirs = Array.from({ length: 60 }, (_, n) => `venv/lib/package-${n}/sub`);
    const entries = dirs.flatMap((dir) => [
      ...[1, 2, 3].map((n) => file(`${dir}/${n}.py`, 150_000)),
      directory(dir),
    ]);
    const whole = cut(entries, []);
    expect(whole.length).toBeGreaterThan(3);
    // No directory is in two sections.
    for (const section of whole)
      expect(section[0]!.endsWith('/1.py') && section.at(-1)!.endsWith('/')).toBe(true);
    const without = cut(
      entries.filter(({ path }) => !path.includes('package-7/')),
      [],
    );
    expect(without.at(-1)).toEqual(whole.at(-1));
  });

  it('of a package longer than all of them end where 8 MiB are full', () => {
    const entries = Array.from({ length: 10 }, (_, n) => file(`node_modules/big/${n}`, 3 * MEBIBYTE));
    expect(cut(entries).map((section) => section.length)).toEqual([3, 3, 3, 1]);
  });
});
