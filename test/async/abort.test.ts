import { getEventListeners } from 'node:events';
import { beforeEach, describe, expect, it } from 'vitest';
import { linkAbort, raceAbort, withinTime } from '../../src/async/abort.ts';

let outer: AbortController;
beforeEach(() => {
  outer = new AbortController();
});

const listeners = (): unknown[] => getEventListeners(outer.signal, 'abort');
const never = new Promise<never>(() => {});

describe('a linked controller', () => {
  it('follows the outer signal, with its reason', () => {
    const { signal } = linkAbort(outer.signal);
    outer.abort('why');
    expect(signal.reason).toBe('why');
    expect(linkAbort(outer.signal).signal.reason).toBe('why');
  });

  it('leaves the outer signal alone, and lets go of it', () => {
    const link = linkAbort(outer.signal);
    link.abort('own');
    expect(outer.signal.aborted).toBe(false);
    expect(link.signal.reason).toBe('own');
    link.unlink();
    expect(listeners()).toEqual([]);
  });
});

describe('a race with a signal', () => {
  it('ends as the promise does, and lets go of the signal', async () => {
    expect(await raceAbort(Promise.resolve(1), outer.signal)).toBe(1);
    await expect(raceAbort(Promise.reject(new Error('own')), outer.signal)).rejects.toThrow('own');
    expect(listeners()).toEqual([]);
  });

  it('ends with the reason at once, also of a signal that is aborted already', async () => {
    const racing = raceAbort(never, outer.signal);
    outer.abort(new Error('stop'));
    await expect(racing).rejects.toThrow('stop');
    await expect(raceAbort(never, outer.signal)).rejects.toThrow('stop');
    expect(listeners()).toEqual([]);
  });
});

it('within a time: the value, the error, or nothing', async () => {
  expect(await withinTime(Promise.resolve('value'), 60_000)).toBe('value');
  await expect(withinTime(Promise.reject(new Error('own')), 60_000)).rejects.toThrow('own');
  expect(await withinTime(never, 1)).toBeUndefined();
});
