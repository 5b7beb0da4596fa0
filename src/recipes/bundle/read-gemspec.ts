/**
 * The specification of an installed gem, `specifications/NAME-VERSION.gemspec`: a Ruby program that RubyGems
 * writes (`Gem::Specification#to_ruby`), always with the same lines. A file with only such lines runs as it
 * did when it was written. So a truncated or edited one is noticed without Ruby.
 */
import { canonicalRequirement } from './gem-version.ts';

export interface InstalledSpec {
  name: string;
  version: string;
  /** `ruby` for what is built from source. */
  platform: string;
  hasExtensions: boolean;
  executables: readonly string[];
  /** The version of RubyGems that installed it. */
  installedBy: string | undefined;
  /** Canonical requirements of runtime dependencies, by name. */
  dependencies: ReadonlyMap<string, string>;
  requiredRuby: readonly string[];
  requiredRubygems: readonly string[];
}

// As `String#dump` writes them.
const ESCAPE = '\\\\(?:["\\\\#nrtfvabe]|x[01][0-9A-F]|u(?!D[89A-F])[0-9A-F]{4}|u\\{[0-9A-F]{5}\\})';
const STRING = `"(?:[^"\\\\#\\x00-\\x1f\\x7f]|#(?![{$@])|${ESCAPE})*"(?:\\.freeze)?`;
const STRINGS = new RegExp(STRING, 'g');
const LIST = `\\[(?:${STRING}(?:, ${STRING})*)?\\]`;
const HASH = `\\{ (?:${STRING} => ${STRING}(?:, ${STRING} => ${STRING})*)? ?\\}`;
const REQUIREMENT = `Gem::Requirement\\.new\\((?:${STRING}|${LIST})\\)`;
const PLATFORM = `Gem::Platform\\.new\\(\\[(?:${STRING}|nil)(?:, (?:${STRING}|nil)){2}\\]\\)`;

const KINDS = {
  text: STRING,
  list: LIST,
  either: `(?:${STRING}|\\[(?:${STRING}|nil)(?:, (?:${STRING}|nil))*\\]|nil)`,
  hash: HASH,
  requirement: REQUIREMENT,
  platform: `(?:${STRING}|${PLATFORM})`,
  number: '\\d+',
} as const;

const ATTRIBUTES: Readonly<Record<keyof typeof KINDS, string>> = {
  text: 'name version bindir date description homepage post_install_message rubygems_version summary installed_by_version',
  list: 'require_paths authors cert_chain executables extensions extra_rdoc_files files licenses rdoc_options requirements test_files',
  either: 'email',
  hash: 'metadata',
  requirement: 'required_ruby_version required_rubygems_version',
  platform: 'platform',
  number: 'specification_version',
};

const ASSIGNED = /^ {2,6}s\.([a-z_]+) = /;
const GUARD = '(?: if s\\.respond_to\\? :[a-z_]+=?)?';
/** What may stand behind `s.NAME = `. */
const VALUES = new Map(
  Object.entries(KINDS).flatMap(([kind, value]) => {
    const pattern = new RegExp(`^(${value})${GUARD}$`);
    const names = Object.entries(ATTRIBUTES).find(([name]) => name === kind)?.[1] ?? '';
    return names.split(' ').map((name) => [name, pattern] as const);
  }),
);
const DEPENDENCY = new RegExp(
  `^ {2,6}s\\.add_(runtime_|development_|)dependency\\(%q<([A-Za-z0-9_.-]+)>(?:\\.freeze)?, (${LIST})\\)$`,
);
const CONDITION =
  /^ {2,4}if (?:s\.respond_to\? :(?:specification_version|add_runtime_dependency)|Gem::Version\.new\(Gem::VERSION\) >= Gem::Version\.new\('1\.2\.0'\)) then$/;
const VERSION = /^\d+(?:\.[0-9A-Za-z]+)*$/;
const HEAD =
  /^# -\*- encoding: utf-8 -\*-\n# stub: (\S+) (\S+) (\S+) ([^\n]+)\n(?:# stub: ([^\n]+)\n)?\nGem::Specification\.new do \|s\|\n/;

/** @returns undefined for a text that RubyGems would not write */
export function readGemspec(text: string): InstalledSpec | undefined {
  const head = HEAD.exec(text);
  if (head === null) return undefined;
  const body = readBody(text.slice(head[0].length).split('\n'));
  if (body === undefined) return undefined;
  const { values, dependencies } = body;
  const [, name = '', version = '', platform = ''] = head;
  const value = (of: string): string[] => strings(values.get(of));
  const isItself = value('name')[0] === name && value('version')[0] === version && VERSION.test(version);
  const hasPlatform = values.has('platform') === (platform !== 'ruby');
  const hasExtensions = head[5] !== undefined;
  if (!isItself || !hasPlatform || hasExtensions !== value('extensions').length > 0) return undefined;
  if (
    !['rubygems_version', 'installed_by_version'].every((of) => value(of).every((text) => VERSION.test(text)))
  )
    return undefined;
  if (!value('date').every((text) => /^\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])$/.test(text)))
    return undefined;
  const [requiredRuby, requiredRubygems] = [
    value('required_ruby_version'),
    value('required_rubygems_version'),
  ];
  if ([requiredRuby, requiredRubygems].some((parts) => canonicalRequirement(parts) === undefined))
    return undefined;
  return {
    name,
    version,
    platform,
    hasExtensions,
    executables: value('executables'),
    installedBy: value('installed_by_version')[0],
    dependencies,
    requiredRuby,
    requiredRubygems,
  };
}

interface Body {
  values: Map<string, string>;
  dependencies: Map<string, string>;
}

function readBody(lines: readonly string[]): Body | undefined {
  const values = new Map<string, string>();
  const found: { kind: string; name: string; requirement: string }[] = [];
  // One item for each open condition: whether its `else` has come.
  const open: boolean[] = [];
  let isOver = false;
  for (const line of lines) {
    if (line === '') continue;
    if (isOver) return undefined;
    if (line === 'end' && open.length === 0) isOver = true;
    else if (CONDITION.test(line)) open.push(false);
    else if (/^ +end$/.test(line) && open.length > 0) open.pop();
    else if (/^ +else$/.test(line) && open.at(-1) === false) open[open.length - 1] = true;
    else {
      const [assigned = '', name = ''] = ASSIGNED.exec(line) ?? [];
      const value = VALUES.get(name)?.exec(line.slice(assigned.length))?.[1];
      if (value !== undefined) values.set(name, value);
      else {
        const [, kind = '', of = '', list] = DEPENDENCY.exec(line) ?? [];
        const requirement = list === undefined ? undefined : canonicalRequirement(strings(list));
        if (requirement === undefined) return undefined;
        found.push({ kind, name: of, requirement });
      }
    }
  }
  return isOver ? { values, dependencies: runtimeOf(found) } : undefined;
}

/**
 * The part after `else` is for RubyGems before 1.2. It uses plain `add_dependency`, also for development
 * dependencies.
 */
function runtimeOf(
  found: readonly { kind: string; name: string; requirement: string }[],
): Map<string, string> {
  const isSplit = found.some(({ kind }) => kind !== '');
  const runtime = found.filter(({ kind }) => kind === (isSplit ? 'runtime_' : ''));
  return new Map(runtime.map(({ name, requirement }) => [name, requirement]));
}

function strings(text = ''): string[] {
  return [...text.matchAll(STRINGS)].map(([quoted]) => quoted.replace(/^"|"(?:\.freeze)?$/g, ''));
}
