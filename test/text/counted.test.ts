import { expect, it } from 'vitest';
import { formatCount } from '../../src/text/counted.ts';

it.each([
  [0, '0'],
  [999, '999'],
  [1000, '1,000'],
  [90_982, '90,982'],
  [1_234_567, '1,234,567'],
])('%i is told as %s', (count, text) => {
  expect(formatCount(count)).toBe(text);
});
