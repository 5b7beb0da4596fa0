import { expect, it } from 'vitest';
import { bytesOf, type Chunk, readAll } from '../../src/async/chunks.ts';

const bytes = (text: string): Uint8Array => Buffer.from(text);

async function* iterate(chunks: readonly Chunk[]): AsyncGenerator<Chunk> {
  yield* chunks;
}

it('a body has the bytes of every chunk, in order, however long each takes to make', async () => {
  const makers: (() => void)[] = [];
  const held = ['b', 'c', 'd'].map((text, offset) => ({
    offset,
    length: 1,
    read: () => new Promise<Uint8Array>((resolve) => makers.push(() => resolve(bytes(text)))),
  }));
  const body = bytesOf(iterate([bytes('a'), ...held, bytes('e')]));
  expect((await body.next()).value).toEqual(bytes('a'));
  const second = body.next();
  await expect.poll(() => makers.length).toBe(3);
  for (const make of makers.reverse()) make();
  expect((await second).value).toEqual(bytes('b'));
  const rest: Uint8Array[] = [];
  for await (const chunk of body) rest.push(chunk);
  expect(Buffer.concat(rest).toString()).toBe('cde');
});

it('no chunk waits for the next one where nothing has to be made', async () => {
  async function* endless(): AsyncGenerator<Chunk> {
    yield bytes('a');
    await new Promise(() => {});
  }
  expect((await readAll(endless()).next()).value).toEqual({ chunk: bytes('a'), bytes: bytes('a') });
});

it('an error of a chunk is thrown in its turn', async () => {
  const failing = { offset: 0, length: 1, read: () => Promise.reject(new Error('gone')) };
  const body = bytesOf(iterate([bytes('a'), failing]));
  expect((await body.next()).value).toEqual(bytes('a'));
  await expect(body.next()).rejects.toThrow('gone');
});
