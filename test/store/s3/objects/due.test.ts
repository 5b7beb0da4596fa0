import { expect, it } from 'vitest';
import { expiryDate, isDue } from '../../../../src/store/s3/objects/due.ts';

const DAY = 24 * 60 * 60 * 1000;
const NOW = Date.UTC(2026, 10, 27);
const ago = (days: number): Date => new Date(NOW - days * DAY);

it.each([
  ['six days old', 6, undefined, false],
  ['eight days old', 8, undefined, true],
  ['three days old, of a life of seven', 3, 4, false],
  ['four days old, of a life of seven', 4, 3, true],
  ['less than a day old, of a life of one', 0.9, 0.1, false],
  ['a day and a half old, of a life of two', 1.5, 0.5, true],
  ['six days old, of a life of ninety', 6, 84, false],
  ['eight days old, of a life of ninety', 8, 82, true],
  ['eight days old, and past its date', 8, -2, true],
  ['from tomorrow', -1, undefined, false],
])('%s', (_, age, left, due) => {
  const expires = left === undefined ? undefined : ago(-left);
  expect(isDue({ modified: ago(age), expires }, NOW)).toBe(due);
});

it('is not known without a date', () => {
  expect(isDue({ modified: undefined }, NOW)).toBe(false);
});

it.each([
  ['expiry-date="Fri, 23 Dec 2012 00:00:00 GMT", rule-id="cache"', Date.UTC(2012, 11, 23)],
  ['expiry-date="tomorrow", rule-id="cache"', undefined],
  ['', undefined],
  [undefined, undefined],
])('reads the date that S3 tells: %s', (header, time) => {
  expect(expiryDate(header)?.getTime()).toBe(time);
});
