import { expect, it } from 'vitest';
import { simulate } from './simulate.ts';

const S3 = { getsPerSecond: 5500, rate: 60e6, latencyMs: 50, seed: 7, bytes: 136e6 };

it('a few machines meet no limit', () => {
  const result = simulate({ ...S3, restorers: 10 });
  expect(result).toMatchObject({ restored: 10, refused: 0 });
  expect(result.lastSeconds).toBeLessThan(1);
});

it('a thousand are refused at first, and all of them come to their end', () => {
  const result = simulate({ ...S3, restorers: 1000 });
  expect(result.restored).toBe(1000);
  expect(result.refused).toBeGreaterThan(0);
});

it('of ten thousand, all but a few in a hundred do', () => {
  expect(simulate({ ...S3, restorers: 10_000 }).restored).toBeGreaterThan(9500);
});

it('the same seed gives the same run', () => {
  const fleet = { ...S3, restorers: 1000 };
  expect(simulate(fleet)).toEqual(simulate(fleet));
  expect(simulate({ ...fleet, seed: 8 })).not.toEqual(simulate(fleet));
});
