/**
 * Text from elsewhere, made safe to print. A file's name, an object's key or a server's message may hold
 * anything: escape sequences that a terminal obeys, line breaks that forge a line of ours, controls that
 * reverse the reading direction.
 */

/** Begins every line on stderr, so that one `grep` finds them all in a container's log. */
export const TAG = '[cache]';

/**
 * C0 and C1 controls, line separators, everything that changes the direction of text, and halves of
 * characters.
 */
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
/**
 * The same without the controls that JSON escapes by itself, and without the line feed that its layout needs.
 */
const UNPRINTABLE_IN_JSON = /[\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]/g;

/** One cell or one line: `a\nb` becomes `a\u000ab`, as JSON would write it. */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, escaped);
}

/**
 * Several lines of our own. Their parts should be printable already; this catches those that were forgotten.
 */
export function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** A message as one line: line breaks of its own become spaces. */
export function printableMessage(text: string): string {
  return printable(text.replace(/\s*[\r\n]\s*/g, ' ').trim());
}

/** A message and its hint as one line. */
export function withHint(message: string, hint: string | undefined): string {
  return printableMessage(
    hint === undefined ? message : `${message}${/[.!?]$/.test(message) ? '' : '.'} ${hint}`,
  );
}

/** A JSON document, laid out on lines. It stays the same value. */
export function printableJson(value: unknown): string {
  return JSON.stringify(value, undefined, 2).replace(UNPRINTABLE_IN_JSON, escaped);
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}
