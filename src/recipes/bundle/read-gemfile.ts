/**
 * A Gemfile is a Ruby program. Most are only a list, which can be read without Ruby: `source`, `ruby`,
 * `group`, and `gem` with literals. If any line says something else, the whole file counts as unreadable.
 */
import { canonicalRequirement } from './gem-version.ts';

export interface Gemfile {
  source: string;
  /** The requirements of `ruby '…'`; undefined where there is none. */
  ruby: readonly string[] | undefined;
  /** In order. */
  gems: ReadonlyMap<string, RequestedGem>;
}

export interface RequestedGem {
  /** Canonical. */
  requirement: string;
  /** Whether it is only for other Rubies than ours: Windows, JRuby. */
  isForOthers: boolean;
}

// No escapes, no interpolation.
const STRING = `(?:"[^"\\\\#]*"|'[^'\\\\]*')`;
const WORD = `(?::[a-z_]\\w*|${STRING})`;
const WORDS = `(?:${WORD}|\\[ *${WORD}(?: *, *${WORD})* *\\]|%[iw]\\[[a-z0-9_ ]+\\])`;
const REQUIRE = `(?:true|false|nil|${STRING}|\\[ *(?:${STRING}(?: *, *${STRING})*)? *\\])`;
const option = (name: string, value: string): string => `(?:${name}: *${value}|:${name} *=> *${value})`;
const OPTION = `(?:${option('require', REQUIRE)}|${option('groups?', WORDS)}|${option('platforms?', WORDS)})`;

const COMMENT = '(?:\\s*#.*)?';
const line = (text: string): RegExp => new RegExp(`^\\s*${text}\\s*${COMMENT}$`);

const BLANK = line('');
const SOURCE = line(`source (${STRING})`);
const RUBY = line(`ruby (${STRING}(?:, *${STRING})*)`);
const GROUP = line(`group ${WORD}(?:, *${WORD})*(?:, *optional: (?:true|false))? do`);
const END = line('end');
// Defines a shorthand. A gem that used it, e.g. with `github:`, would have an option that makes the file
// unreadable.
const GIT_SOURCE = line(
  `git_source\\(:\\w+\\) ?\\{ ?\\|(\\w+)\\| ?"https://[^"\\\\#]*(?:#\\{\\1\\})?[^"\\\\#]*" ?\\}`,
);
const GEM = line(`gem (${STRING})((?:, *${STRING})*)((?:, *${OPTION})*)`);

const OTHERS = new Set(['mswin', 'mswin64', 'mingw', 'x64_mingw', 'jruby', 'truffleruby']);
const PLATFORMS = new Set([...OTHERS, 'ruby', 'mri']);

/** @returns undefined if the file is more than such a list */
export function readGemfile(text: string): Gemfile | undefined {
  let source: string | undefined;
  let ruby: string[] | undefined;
  let depth = 0;
  const gems = new Map<string, RequestedGem>();
  const lines = text.split('\n');
  // Another encoding may give the bytes another meaning.
  if (lines.slice(0, 2).some((first) => /coding/i.test(first) && !/coding: *utf-8\b/i.test(first)))
    return undefined;
  for (const each of lines) {
    if (BLANK.test(each) || GIT_SOURCE.test(each)) continue;
    if (GROUP.test(each)) depth++;
    else if (END.test(each) && depth > 0) depth--;
    else {
      const [from, wanted, gem] = [SOURCE.exec(each), RUBY.exec(each), GEM.exec(each)];
      if (from !== null && source === undefined && depth === 0) [source] = strings(from[1]);
      else if (wanted !== null && ruby === undefined && depth === 0) ruby = strings(wanted[1]);
      else if (gem === null || !addGem(gems, gem)) return undefined;
    }
  }
  return source === undefined || depth !== 0 ? undefined : { source, ruby, gems };
}

function addGem(
  gems: Map<string, RequestedGem>,
  [, quoted, versions, options = '']: RegExpExecArray,
): boolean {
  const [name = ''] = strings(quoted);
  const requirement = canonicalRequirement(strings(versions));
  const given = [...options.matchAll(new RegExp(`platforms?(?::| *=>) *(${WORDS})`, 'g'))];
  const platforms = given.flatMap(
    ([, words = '']) => words.match(/\w+/g)?.filter((word) => !/^[iw]$/.test(word)) ?? [],
  );
  const isKnown = /^[A-Za-z0-9_.-]+$/.test(name) && name !== 'bundler' && !gems.has(name);
  if (!isKnown || requirement === undefined || !platforms.every((word) => PLATFORMS.has(word))) return false;
  const isForOthers = platforms.length > 0 && platforms.every((word) => OTHERS.has(word));
  gems.set(name, { requirement, isForOthers });
  return true;
}

function strings(text = ''): string[] {
  return [...text.matchAll(new RegExp(STRING, 'g'))].map(([quoted]) => quoted.slice(1, -1));
}
