import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it } from 'vitest';
import { askedDelayMs, Retry } from '../../../../src/store/s3/errors/retry.ts';

const { signal } = new AbortController();

/** As the SDK throws an answer of 503. */
function slowDown(headers: Record<string, string> = {}): Error {
  return Object.assign(new Error('Please reduce your request rate'), {
    name: 'SlowDown',
    $metadata: { httpStatusCode: 503 },
    $response: { statusCode: 503, headers },
  });
}

async function waited(headers?: Record<string, string>): Promise<number> {
  const began = performance.now();
  await new Retry(signal, 1, () => {}).wait(slowDown(headers));
  return performance.now() - began;
}

describe('Retry-After', () => {
  it('is waited for at least', async () => {
    expect(await waited({ 'retry-after': '0.3' })).toBeGreaterThanOrEqual(295);
  });

  it.each([
    ['7', 7000],
    ['120', 120_000],
    ['0.5', 500],
    ['Fri, 27 Nov 2026 12:00:30 GMT', 30_000],
    ['Fri, 27 Nov 2026 11:59:00 GMT', 0],
    ['soon', 0],
    ['-5', 0],
    ['', 0],
    [undefined, 0],
  ])('of %j asks for %d ms', (text, ms) => {
    expect(askedDelayMs(text, 'Fri, 27 Nov 2026 12:00:00 GMT')).toBe(ms);
  });

  it('of a date says nothing without the date of the answer', () => {
    expect(askedDelayMs('Fri, 27 Nov 2026 12:00:30 GMT', undefined)).toBe(0);
  });

  it('is waited for beyond our own limit, until the signal', async () => {
    const stop = new AbortController();
    const waiting = new Retry(stop.signal, 1, () => {}).wait(slowDown({ 'retry-after': '30' }));
    // Our own longest wait for an error of this kind, the first time, is 3 ms.
    const early = await Promise.race([waiting.then(() => 'early'), sleep(200, 'late')]);
    expect(early).toBe('late');
    stop.abort(new Error('stop'));
    await expect(waiting).rejects.toThrow('stop');
  });

  it.each(['soon', '-5', ''])('%j is none', async (text) => {
    await expect(waited({ 'retry-after': text })).resolves.toBeLessThan(60_000);
  });
});

it('gives up after so many failures in a row, and counts anew after progress', async () => {
  const retry = new Retry(signal, 0, () => {});
  for (let n = 0; n < 7; n++) await retry.wait(slowDown());
  retry.progressed();
  for (let n = 0; n < 7; n++) await retry.wait(slowDown());
  const error = slowDown();
  await expect(retry.wait(error)).rejects.toBe(error);
});

it('ends with the reason of a signal at once', async () => {
  const stop = new AbortController();
  const waiting = new Retry(stop.signal, 60_000, () => {}).wait(slowDown());
  stop.abort(new Error('stop'));
  await expect(waiting).rejects.toThrow('stop');
});
