/**
 * A Gemfile.lock as Bundler reads it (bundler/lockfile_parser.rb), if all gems have one source. A proof must
 * not rest on guesses, so a line of any other kind makes the whole file unreadable.
 */
import { canonicalRequirement } from './gem-version.ts';

export interface Lockfile {
  /** The address of the gem server, as it stands there. */
  remote: string;
  gems: readonly LockedGem[];
  platforms: readonly string[];
  /** What the Gemfile asked for: canonical requirements by name. */
  dependencies: ReadonlyMap<string, string>;
  /** `3.1.2`, where the Gemfile names a Ruby. */
  ruby: string | undefined;
  bundler: string | undefined;
}

export interface LockedGem {
  name: string;
  version: string;
  /** `ruby` for what is built from source. */
  platform: string;
  /** Canonical requirements by name. */
  dependencies: ReadonlyMap<string, string>;
}

const NAME = '([A-Za-z0-9_.-]+)';
const GEM = new RegExp(`^ {4}${NAME} \\(([0-9A-Za-z.]+)(?:-([0-9A-Za-z_.-]+))?\\)$`);
const DEPENDENCY = new RegExp(`^${NAME}(?: \\(([^()]+)\\))?$`);
const CHECKSUM = /^ {2}\S+ \(\S+\)(?: sha256=[0-9a-f]{64})?$/;

/** @returns undefined for a lockfile with anything but one GEM section, and for one that is not understood */
export function readLockfile(text: string): Lockfile | undefined {
  const sections = sectionsOf(text);
  if (sections === undefined) return undefined;
  const { GEM: source, PLATFORMS: platforms, DEPENDENCIES: direct, CHECKSUMS: checksums = [] } = sections;
  const { 'RUBY VERSION': rubyLines, 'BUNDLED WITH': bundlerLines } = sections;
  if (source === undefined || platforms === undefined || direct === undefined) return undefined;
  const remote = /^ {2}remote: (\S+)$/.exec(source[0] ?? '')?.[1];
  if (remote === undefined || source[1] !== '  specs:') return undefined;
  const gems = gemsOf(source.slice(2));
  const dependencies = dependenciesOf(direct, '  ');
  const ruby = onlyOne(rubyLines, /^ {3}ruby (\d+\.\d+\.\d+)(?:p\d+)?$/);
  const bundler = onlyOne(bundlerLines, /^ {2,3}(\d+(?:\.\w+)+)$/);
  if (gems === undefined || dependencies === undefined || ruby === '' || bundler === '') return undefined;
  if (!platforms.every((line) => /^ {2}\S+$/.test(line))) return undefined;
  if (!checksums.every((line) => CHECKSUM.test(line))) return undefined;
  return { remote, gems, platforms: platforms.map((line) => line.trim()), dependencies, ruby, bundler };
}

/** The name of its folder: `rack-3.0.0`, `nokogiri-1.16.0-x86_64-linux-gnu`. */
export function nameOf({
  name,
  version,
  platform,
}: Pick<LockedGem, 'name' | 'version' | 'platform'>): string {
  return platform === 'ruby' ? `${name}-${version}` : `${name}-${version}-${platform}`;
}

type Section = 'GEM' | 'PLATFORMS' | 'DEPENDENCIES' | 'CHECKSUMS' | 'RUBY VERSION' | 'BUNDLED WITH';
const SECTION = /^(?:GEM|PLATFORMS|DEPENDENCIES|CHECKSUMS|RUBY VERSION|BUNDLED WITH)$/;

function isSection(line: string): line is Section {
  return SECTION.test(line);
}

/** Lines by section. @returns undefined if there is another section, or one comes twice */
function sectionsOf(text: string): Partial<Record<Section, string[]>> | undefined {
  const sections: Partial<Record<Section, string[]>> = {};
  let current: string[] | undefined;
  for (const line of text.split('\n')) {
    if (line === '') continue;
    if (line.startsWith(' ') && current !== undefined) {
      current.push(line);
      continue;
    }
    if (!isSection(line) || sections[line] !== undefined) return undefined;
    current = sections[line] = [];
  }
  return sections;
}

function gemsOf(lines: readonly string[]): LockedGem[] | undefined {
  const gems: { head: RegExpExecArray; below: string[] }[] = [];
  for (const line of lines) {
    const head = GEM.exec(line);
    if (head !== null) gems.push({ head, below: [] });
    else if (line.startsWith('      ') && gems.length > 0) gems.at(-1)?.below.push(line);
    else return undefined;
  }
  const read = gems.map(({ head: [, name = '', version = '', platform = 'ruby'], below }) => {
    const dependencies = dependenciesOf(below, '      ');
    return dependencies && { name, version, platform, dependencies };
  });
  return read.every((gem) => gem !== undefined) ? read : undefined;
}

function dependenciesOf(lines: readonly string[], indent: string): Map<string, string> | undefined {
  const found = new Map<string, string>();
  for (const line of lines) {
    const [, name, text] = DEPENDENCY.exec(line.slice(indent.length)) ?? [];
    const requirement = canonicalRequirement(text?.split(',') ?? []);
    if (!line.startsWith(indent) || name === undefined || requirement === undefined || found.has(name))
      return undefined;
    found.set(name, requirement);
  }
  return found;
}

/** @returns undefined if there is no such section; an empty text if it is not understood */
function onlyOne(lines: readonly string[] | undefined, pattern: RegExp): string | undefined {
  if (lines === undefined) return undefined;
  return lines.length === 1 ? (pattern.exec(lines[0] ?? '')?.[1] ?? '') : '';
}
