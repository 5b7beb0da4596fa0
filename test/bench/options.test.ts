import { expect, it } from 'vitest';
import { parseOptions } from './options.ts';

it('measures everything by default, five times', () => {
  expect(parseOptions([])).toMatchObject({ corpora: ['S', 'L', 'B', 'V'], runs: 5, levels: [] });
});

it('measures the small tree once when asked to be quick, unless told otherwise', () => {
  expect(parseOptions(['--quick'])).toMatchObject({ corpora: ['S'], runs: 1, startUpRuns: 5 });
  expect(parseOptions(['--quick', '--corpora', 'V', '--runs', '2'])).toMatchObject({
    corpora: ['V'],
    runs: 2,
  });
});

it.each([
  [['--corpora', 'S,Q'], /--corpora takes S, L, B, V/],
  [['--workers', '0'], /--workers takes whole numbers/],
  [['--parts', 'all'], /--parts takes archive/],
  [['--fast'], /--fast/],
])('refuses %j', (argv, message) => {
  expect(() => parseOptions(argv)).toThrow(message);
});
