import { expect, it } from 'vitest';
import { RangePlan } from '../../../../src/store/s3/download/range-plan.ts';

const MIB = 1024 * 1024;
const limits = { smallest: 2 * MIB, largest: 8 * MIB, budget: 32 * MIB };
/** Bytes a second → what so many milliseconds bring. */
const brings = (plan: RangePlan, rate: number, times = 1): void => {
  for (let n = 0; n < times; n++) plan.measured(rate / 10, 100);
};

it('begins with few short ranges', () => {
  const plan = new RangePlan(limits);
  expect([plan.count, plan.size]).toEqual([4, 2 * MIB]);
});

it.each([
  ['15 MB/s: many short ones', 15e6, 2 * MIB],
  ['90 MB/s: some', 90e6, 4.5e6],
  ['1 GB/s: few long ones', 1e9, 8 * MIB],
])('a connection that brings %s', (_, rate, size) => {
  const plan = new RangePlan(limits);
  brings(plan, rate, 30);
  expect(plan.size).toBe(size);
  expect(plan.count).toBe(16);
});

it('goes back to few long ones where many bring no more than one does alone', () => {
  const plan = new RangePlan(limits);
  brings(plan, 40e6);
  brings(plan, 40e6 / 16, 30);
  expect(plan.size).toBe(8 * MIB);
  brings(plan, 40e6 / 4, 30);
  expect(plan.size).toBe(8 * MIB);
});

it('asks for little where the service asks for patience', () => {
  const plan = new RangePlan(limits);
  brings(plan, 15e6, 3);
  plan.throttled();
  expect(plan.size).toBe(8 * MIB);
});

it('takes what came in no time at all for fast', () => {
  const plan = new RangePlan(limits);
  plan.measured(512 * 1024, 0);
  expect(plan.size).toBe(8 * MIB);
});
