import { describe, expect, it } from 'vitest';
import { Retry } from '../../../../src/store/s3/errors/retry.ts';

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
