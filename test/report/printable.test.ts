import fc from 'fast-check';
import { expect, it } from 'vitest';
import {
  printable,
  printableJson,
  printableLines,
  printableMessage,
  withHint,
} from '../../src/report/printable.ts';

/** Anything that moves a terminal's cursor, breaks a line or turns the direction of text. */
const UNSAFE = /[\p{Cc}\p{Zl}\p{Zp}\p{Bidi_Control}\p{Cs}]/u;

/** Any text, with a preference for what hurts. */
const text = fc.string({
  unit: fc.oneof(
    fc.constantFrom(
      '\u001b',
      '\n',
      '\r',
      '\u009b',
      '\u202e',
      '\u2066',
      '\u2028',
      '\ud800',
      '\udc00',
      '\u007f',
      'é',
      '𝄞',
    ),
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
  ),
});

it('leaves ordinary text alone', () => {
  for (const plain of ['node_modules/naïve/日本語.js', '𝄞 👩‍👩‍👧', 'a  b']) expect(printable(plain)).toBe(plain);
});

it('writes what a terminal would obey as JSON does', () => {
  expect(printable('a\u001b[31m\n\u202eb')).toBe('a\\u001b[31m\\u000a\\u202eb');
  expect(printableLines('one\ntwo\u0007')).toBe('one\ntwo\\u0007');
  expect(printableMessage('one\r\n  two\t')).toBe('one two');
});

it('joins a message and its hint into sentences', () => {
  expect(withHint('It is busy', 'Wait.')).toBe('It is busy. Wait.');
  expect(withHint('Is it?', 'Wait.')).toBe('Is it? Wait.');
  expect(withHint('It is busy', undefined)).toBe('It is busy');
});

it('lets nothing through that a terminal obeys', () => {
  fc.assert(
    fc.property(text, (any) => {
      expect(printable(any)).not.toMatch(UNSAFE);
      expect(printableMessage(any)).not.toMatch(UNSAFE);
      expect(printableLines(any).replaceAll('\n', '')).not.toMatch(UNSAFE);
    }),
  );
});

it('keeps the value of a JSON document', () => {
  fc.assert(
    fc.property(fc.dictionary(text, text), (value) => {
      const json = printableJson(value);
      expect(json.replaceAll('\n', '')).not.toMatch(UNSAFE);
      expect(JSON.parse(json)).toEqual(JSON.parse(JSON.stringify(value)));
    }),
  );
});
