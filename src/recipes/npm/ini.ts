/**
 * The format of .npmrc, as npm's own `ini` package reads it: the top-level keys, which are all that npm's
 * settings need.
 */

/** A value as it is written, or all values of `name[] = value`, in order. */
export type IniValues = ReadonlyMap<string, string | readonly string[]>;

/** Reads `omit[]=dev`, `bin-links = false ; why`, `quiet` (which is `true`), `tag="a;b"`. Never fails. */
export function parseIni(text: string): IniValues {
  const values = new Map<string, string | readonly string[]>();
  for (const line of text.split(/[\r\n]+/)) {
    if (/^\s*(?:[;#]|$)/.test(line)) continue;
    // Sections hold no settings of npm, and only another section ends one.
    if (/^\[[^\]]*\]\s*$/.test(line)) break;
    const found = /^(?<name>[^=]+)(?<given>=(?<value>.*))?$/.exec(line)?.groups;
    if (found === undefined) continue;
    const name = decode(found['name']!);
    const value = found['given'] === undefined ? 'true' : decode(found['value'] ?? '');
    const isList = name.length > 2 && name.endsWith('[]');
    const key = isList ? name.slice(0, -2) : name;
    const earlier = values.get(key);
    if (isList || Array.isArray(earlier)) values.set(key, [...[earlier ?? []].flat(), value]);
    else values.set(key, value);
  }
  return values;
}

/** Removes quotes. From a bare value it removes the comment, and the backslashes before `;`, `#` and `\`. */
function decode(raw: string): string {
  const text = raw.trim();
  const quote = ['"', "'"].find((mark) => text.startsWith(mark) && text.endsWith(mark));
  if (quote === undefined) {
    return /^(?:\\.|[^\\;#]|\\$)*/s
      .exec(text)![0]
      .replace(/\\([\\;#])/g, '$1')
      .trim();
  }
  // npm also gives what is inside single quotes to a JSON parser.
  const json = quote === '"' ? text : text.slice(1, -1);
  try {
    return String(JSON.parse(json));
  } catch {
    return json;
  }
}
