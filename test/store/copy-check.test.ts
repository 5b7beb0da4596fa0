import { setImmediate } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { checkCopy } from '../../src/store/copy-check.ts';

it('ends a copy at once when its original is gone, not at its end', async () => {
  const endless = async function* (): AsyncGenerator<Uint8Array> {
    for (;;) {
      yield new Uint8Array(1);
      await setImmediate();
    }
  };
  const body = checkCopy(endless(), {
    origin: { etag: 'a', writeId: undefined, size: 10 },
    original: { url: 's3://bucket/key', stat: async () => undefined },
    signal: new AbortController().signal,
    onSame: () => {},
    onStale: async () => {},
    onUnknown: () => {},
  });
  const reading = async (): Promise<void> => {
    for await (const _ of body);
  };
  await expect(reading()).rejects.toMatchObject({
    code: 'STORE_REPLACED',
    message: 's3://bucket/key was deleted after the local copy of it was made',
  });
});
