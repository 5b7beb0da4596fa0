import fc from 'fast-check';
import { expect, it } from 'vitest';
import { EnvSyntaxError, parseEnv } from '../../src/config/parse-env.ts';

function valueOf(text: string): string {
  const [line, ...more] = parseEnv(text);
  if (line === undefined || more.length > 0) throw new Error(`not one line: ${text}`);
  expect(line.name).toBe('VAR');
  return line.value;
}

/** https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/#env-file-syntax, and compose-go's tests. */
it.each([
  ['VAR=VAL', 'VAL'],
  ['VAR="VAL"', 'VAL'],
  ["VAR='VAL'", 'VAL'],
  ['VAR: VAL', 'VAL'],
  ['VAR = VAL  ', 'VAL'],
  ['  export VAR=VAL', 'VAL'],
  ['export\tVAR="export A"', 'export A'],
  ['VAR=', ''],
  ['VAR=""', ''],
  ['VAR=VAL # comment', 'VAL'],
  ['VAR=VAL #', 'VAL'],
  ['VAR=VAL# not a comment', 'VAL# not a comment'],
  ['VAR=a#b', 'a#b'],
  ['VAR= # a comment alone', ''],
  ['VAR=#', '#'],
  ['VAR="VAL # not a comment"', 'VAL # not a comment'],
  ['VAR="VAL" # comment', 'VAL'],
  ["VAR='a#b'#comment", 'a#b'],
  ["VAR='$OTHER'", '$OTHER'],
  ["VAR='${OTHER}'", '${OTHER}'],
  ["VAR='Let\\'s go!'", "Let's go!"],
  ['VAR="{\\"hello\\": \\"json\\"}"', '{"hello": "json"}'],
  ['VAR="some\\tvalue"', 'some\tvalue'],
  ["VAR='some\\tvalue'", 'some\\tvalue'],
  ['VAR=some\\tvalue', 'some\\tvalue'],
  ['VAR="Z\\aZ\\bZ\\fZ\\nZ\\rZ\\tZ\\vZ\\\\Z\\0123Z"', 'Z\u0007Z\bZ\fZ\nZ\rZ\tZ\vZ\\ZSZ'],
  ['VAR="\\x07 \\u12e4 \\0000"', '\\x07 \\u12e4 \\0000'],
  ['VAR="bar\\nbaz\\\\"', 'bar\nbaz\\'],
  ['VAR="first\nsecond"', 'first\nsecond'],
  ["VAR='first\nsecond'", 'first\nsecond'],
  ['VAR=stored as $$5', 'stored as $5'],
  ['VAR="\\$A $$B"', '$A $B'],
  ['VAR=a=b:c', 'a=b:c'],
  ['\uFEFFVAR=VAL\r\n', 'VAL'],
  ['VAR=VAL # comment\r\n', 'VAL'],
  ['# comment\n\n \t\r\nVAR=VAL\n# VAR=OTHER', 'VAL'],
])('%j has the value %j', (text, value) => {
  expect(valueOf(text)).toBe(value);
});

it('says where each name stands, and passes over names without a value', () => {
  expect(parseEnv('ONE=1\n# no\nTWO="a\nb"\nTHREE\n\nFOUR.x-y[0]=4')).toMatchObject([
    { name: 'ONE', line: 1 },
    { name: 'TWO', line: 3 },
    { name: 'FOUR.x-y[0]', line: 7 },
  ]);
});

it.each(['VAR=$OTHER', 'VAR=a${OTHER:-b}', 'VAR="a $OTHER"', 'VAR="\\\\$OTHER"', 'VAR=$5', 'VAR=$$$OTHER'])(
  '%s refers to something that is not replaced',
  (text) => {
    expect(parseEnv(text)).toMatchObject([{ name: 'VAR', refers: true }]);
  },
);

it('does not take a literal $ for a reference', () => {
  for (const text of ["VAR='$OTHER'", 'VAR="\\$OTHER"', 'VAR=$$OTHER', 'VAR="$${OTHER}"']) {
    expect(parseEnv(text)).toMatchObject([{ refers: false }]);
  }
});

it.each([
  ['A=1\nlol$wut', 2],
  ['A=1\n\nNAME WITH SPACES=1', 3],
  ['A="', 1],
  ['A=1\nB=val\0ue', 2],
  ['A=1\nB="value\\"\nC=1', 2],
  ['A=\'value"', 1],
])('refuses %j, as Compose does, with the line and without the text', (text, line) => {
  expect(() => parseEnv(text)).toThrow(EnvSyntaxError);
  expect(() => parseEnv(text)).toThrow(expect.objectContaining({ line }));
  expect(() => parseEnv(text)).not.toThrow(/wut|value|SPACES/);
});

it('takes no longer for a long value than it has letters', () => {
  const long = '\\"'.repeat(60_000);
  expect(valueOf(`VAR="${long}"`)).toHaveLength(60_000);
  // Plain letters: a pattern that can match them in many ways would try all of them.
  for (const unclosed of [long, 'a'.repeat(60_000), '\n'.repeat(60_000)])
    for (const quote of ['"', "'"]) {
      const text = `VAR=${quote}${unclosed.replaceAll('"', quote)}`;
      expect(() => parseEnv(text)).toThrow('has no closing quote');
    }
});

it('gives back any value in quotes, between any comments', () => {
  const value = fc.string({ unit: 'binary' }).map((text) => text.replace(/[\\\0]/g, ''));
  fc.assert(
    fc.property(value, value, (text, comment) => {
      const before = comment.split('\n').map((line) => `# ${line}\n`);
      const single = `VAR='${text.replaceAll("'", "\\'")}' # ${comment.replaceAll('\n', ' ')}`;
      const double = `VAR="${text.replace(/["$]/g, '\\$&')}"`;
      for (const line of [single, double]) expect(valueOf([...before, line].join(''))).toBe(text);
    }),
  );
});

it('reads or refuses any text', () => {
  const part = fc.oneof(fc.constantFrom('A=', 'export ', '"', "'", '\\', ' #', '\n', '$', ':'), fc.string());
  fc.assert(
    fc.property(fc.array(part), (parts) => {
      try {
        parseEnv(parts.join(''));
      } catch (error) {
        expect(error).toBeInstanceOf(EnvSyntaxError);
      }
    }),
    { numRuns: 2000 },
  );
});
