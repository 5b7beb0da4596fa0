import { expect, it } from 'vitest';
import { Laggards } from '../../../../src/store/s3/download/laggards.ts';
import { Leg, PROGRESS_BYTES } from '../../../../src/store/s3/download/leg.ts';

const { signal } = new AbortController();

/** A connection that has been looked at so many times, and brought so much between two looks. */
function at(ticks: number, bytesATick = 0): Leg {
  const leg = new Leg(signal, 1_000_000);
  for (let n = 0; n < ticks; n++) {
    leg.received += bytesATick;
    leg.tick();
  }
  return leg;
}

/** Two ranges of the same size finish `ms` after `leg` began. */
function siblings(laggards: Laggards, leg: Leg, ms: number): void {
  for (let n = 0; n < 2; n++) {
    const other = new Leg(signal, leg.wanted);
    laggards.finished(other, Math.max(other.began, leg.began) + ms);
  }
}

it('is one that takes four times as long as two siblings that finished since it began', () => {
  const laggards = new Laggards(30_000);
  const leg = at(12, PROGRESS_BYTES);
  expect(laggards.isSlow(leg)).toBe(false);
  siblings(laggards, leg, 200);
  expect(laggards.isSlow(leg)).toBe(true);
  expect(laggards.isSlow(at(7, PROGRESS_BYTES))).toBe(false);
});

it('is none where the siblings were slow too, or finished before it began', () => {
  const laggards = new Laggards(30_000);
  const leg = at(12, PROGRESS_BYTES);
  siblings(laggards, leg, 600);
  expect(laggards.isSlow(leg)).toBe(false);
  const fast = new Laggards(30_000);
  const early = new Leg(signal, 1000);
  for (let n = 0; n < 4; n++) fast.finished(early, early.began - 1);
  expect(fast.isSlow(at(50, PROGRESS_BYTES))).toBe(false);
});

it('is one without siblings that brings next to nothing for the stall limit', () => {
  const laggards = new Laggards(3000);
  expect(laggards.isSlow(at(31, 1))).toBe(true);
  expect(laggards.isSlow(at(29, 1))).toBe(false);
  expect(laggards.isSlow(at(100, PROGRESS_BYTES))).toBe(false);
});

it('opens two connections at a time, and more of them the more ranges came', () => {
  const laggards = new Laggards(30_000);
  expect(laggards.mayOpen(1)).toBe(true);
  expect(laggards.mayOpen(2)).toBe(false);
  laggards.opened = 4;
  expect(laggards.mayOpen(0)).toBe(false);
  for (let n = 0; n < 8; n++) laggards.finished(at(1));
  expect(laggards.mayOpen(0)).toBe(true);
  laggards.opened = 5;
  expect(laggards.mayOpen(0)).toBe(false);
});
