/** What every store promises, whatever it keeps its bytes in. One suite, run against all of them. */
import { createHash, randomBytes } from 'node:crypto';
import { getEventListeners } from 'node:events';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CacheError } from '../../src/errors.ts';
import type { OpenEntry, Store, WriteOptions } from '../../src/store/store.ts';

export interface Subject {
  /** On storage of its own, empty. */
  store: Store;
  /** What keys must begin with; empty, or ending in `/`. */
  prefix: string;
  /** Another client of the same storage, as another machine would be. */
  another(): Promise<Store>;
  /** Unfinished uploads, temporary files. */
  leftovers(): Promise<number>;
  /** Whether exactly one of many writers at the same moment wins: with entries of one piece, and of several. */
  oneWinner: { small: boolean; large: boolean };
  /** Whether each write is an object of its own, with an id that tells it from one of the same bytes. */
  marksWrites: boolean;
  close(): Promise<void>;
}

const MIB = 1024 * 1024;
/** Larger than one part and one range of every store here, and no multiple of either. */
const LARGE = 17 * MIB + 4321;

export function describeStoreContract(createSubject: () => Promise<Subject>): void {
  let subject: Subject;
  let store: Store;
  let key: string;
  const controller = new AbortController();
  const { signal } = controller;
  const keep: WriteOptions = { ifExists: 'keep', metadata: {}, signal };

  beforeEach(async () => {
    subject = await createSubject();
    ({ store } = subject);
    key = `${subject.prefix}cache/npm-0123456789abcdef-linux-x64-node115.tar.gz`;
  });
  afterEach(async () => {
    store.close();
    await subject.close();
  });

  it('leaves no listener on the signal it was given', async () => {
    const own = new AbortController().signal;
    const options = { ...keep, signal: own };
    await store.write(key, pieces(randomBytes(LARGE), 1_000_000), options);
    await store.write(key, pieces(randomBytes(1000), 500), options);
    const entry = await present(store, key, own);
    await readAll(entry);
    const again = await present(store, key, own);
    const body = again.body[Symbol.asyncIterator]();
    await body.next();
    await body.return?.();
    await store.stat(key, { signal: own });
    for await (const _ of store.list(subject.prefix, { signal: own }));
    await store.remove(key, { signal: own });
    // The SDK lets go of it when the connection of its last request is idle again.
    await expect.poll(() => getEventListeners(own, 'abort')).toEqual([]);
  });

  describe('reading', () => {
    it('has a value for what is missing, not an error', async () => {
      expect(await store.stat(key, { signal })).toBeUndefined();
      expect(await store.open(key, { signal })).toBeUndefined();
      expect(await store.remove(key, { signal })).toBe('absent');
      expect(await store.remove(key, { signal, etag: 'abc' })).toBe('absent');
      expect(await keysOf(store, subject.prefix)).toEqual([]);
    });

    it('gives back what was written, with what travels with it', async () => {
      const data = randomBytes(100_000);
      const metadata = { recipe: 'npm', 'key-digest': 'ab12' };
      const saved = await store.write(key, pieces(data, 7000), { ...keep, metadata });
      const entry = await present(store, key);
      expect(sha256(await readAll(entry))).toBe(sha256(data));
      expect(entry.metadata).toEqual(metadata);
      expect(entry.info).toMatchObject({ key, size: data.length });
      const found = await store.stat(key, { signal });
      expect(found).toMatchObject({ key, size: data.length, metadata });
      expect(saved).toMatchObject({ type: 'saved', size: data.length, etag: found?.etag });
      expect(Math.abs(store.now() - entry.info.modified!.getTime())).toBeLessThan(600_000);
    });

    it('marks each write, if it marks any: the same bytes saved twice are two objects', async () => {
      const data = randomBytes(1000);
      const marks = new Set<string | undefined>();
      for (const ifExists of ['keep', 'replace'] as const) {
        const saved = await store.write(key, pieces(data, 500), { ...keep, ifExists });
        if (saved.type !== 'saved') throw new Error(saved.type);
        const entry = await present(store, key);
        await readAll(entry);
        expect(entry.info.writeId).toBe(saved.writeId);
        expect((await store.stat(key, { signal }))?.writeId).toBe(saved.writeId);
        if (subject.marksWrites) expect(saved.writeId).toMatch(/^[0-9a-f-]{36}$/);
        marks.add(saved.writeId);
      }
      expect(marks.size).toBe(subject.marksWrites ? 2 : 1);
    });

    it('gives back an entry of many parts, read by two at once', async () => {
      const data = randomBytes(LARGE);
      await store.write(key, pieces(data, 700_001), keep);
      const other = await subject.another();
      const read = await Promise.all(
        [store, other].map(async (each) => sha256(await readAll(await present(each, key)))),
      );
      expect(read).toEqual([sha256(data), sha256(data)]);
      other.close();
    });

    it.each([0, 1, 8 * MIB - 1, 8 * MIB, 8 * MIB + 1])('gives back an entry of %d bytes', async (size) => {
      const data = randomBytes(size);
      expect(await store.write(key, pieces(data, MIB), keep)).toMatchObject({ type: 'saved', size });
      const entry = await present(store, key);
      expect(entry.info.size).toBe(size);
      expect(sha256(await readAll(entry))).toBe(sha256(data));
    });

    it('lets a consumer stop early, or never begin, and serves the next', async () => {
      const data = randomBytes(LARGE);
      await store.write(key, pieces(data, MIB), keep);
      for await (const chunk of (await present(store, key)).body) {
        expect(chunk.length).toBeGreaterThan(0);
        break;
      }
      await (await present(store, key)).body[Symbol.asyncIterator]().return?.();
      expect(sha256(await readAll(await present(store, key)))).toBe(sha256(data));
    });

    it('ends with the reason of an abort', async () => {
      await store.write(key, pieces(randomBytes(LARGE), MIB), keep);
      const { signal: stopping, stop, reason } = stoppable();
      const entry = await store.open(key, { signal: stopping });
      const reading = async (): Promise<void> => {
        for await (const _ of entry!.body) stop();
      };
      await expect(reading()).rejects.toBe(reason);
      await expect(store.open(key, { signal: stopping })).rejects.toBe(reason);
      await expect(store.stat(key, { signal: stopping })).rejects.toBe(reason);
    });
  });

  describe('keys', () => {
    it('are compared exactly, never as prefixes', async () => {
      await store.write(`${key}.sig`, pieces(randomBytes(10), 10), keep);
      await store.write(`${key}2`, pieces(randomBytes(10), 10), keep);
      expect(await store.stat(key, { signal })).toBeUndefined();
      await store.remove(key, { signal });
      expect(await keysOf(store, subject.prefix)).toEqual([`${key}.sig`, `${key}2`]);
    });

    it('are listed by prefix, with the same size and ETag as elsewhere', async () => {
      const names = ['a/one.tar', 'a/two.tar', 'ab/three.tar', 'b/four.tar'].map(
        (name) => subject.prefix + name,
      );
      for (const [index, name] of names.entries())
        await store.write(name, pieces(randomBytes(index + 1), 10), keep);
      expect(await keysOf(store, `${subject.prefix}a`)).toEqual(names.slice(0, 3));
      expect(await keysOf(store, `${subject.prefix}a/`)).toEqual(names.slice(0, 2));
      expect(await keysOf(store, `${subject.prefix}a/tw`)).toEqual([names[1]]);
      for await (const listed of store.list(subject.prefix, { signal })) {
        const found = await store.stat(listed.key, { signal });
        expect(listed).toMatchObject({ size: found?.size, etag: found?.etag });
      }
    });

    it.each([
      'team platform/cache/x.tar.gz',
      'a+b&c=d/ü-✓.tar',
      'prod/%2e%2e/x',
      "it's (1)*!~.tar",
      '.hidden/.x',
    ])('may be "%s"', async (name) => {
      const odd = subject.prefix + name;
      await store.write(odd, pieces(randomBytes(9), 9), keep);
      expect((await present(store, odd)).info.key).toBe(odd);
      expect(await keysOf(store, subject.prefix)).toEqual([odd]);
      await store.remove(odd, { signal });
      expect(await keysOf(store, subject.prefix)).toEqual([]);
    });
  });

  describe('writing over', () => {
    const first = randomBytes(50_000);
    const second = randomBytes(60_000);

    it.each([false, true])('keeps what is there, and says so (several parts: %s)', async (large) => {
      const body = large ? randomBytes(LARGE) : second;
      await store.write(key, pieces(first, 9000), keep);
      expect(await store.write(key, pieces(body, MIB), keep)).toEqual({ type: 'exists' });
      expect(await readAll(await present(store, key))).toEqual(first);
      expect(await subject.leftovers()).toBe(0);
    });

    it('replaces when told to', async () => {
      const before = await store.write(key, pieces(first, 9000), keep);
      const after = await store.write(key, pieces(second, 9000), { ...keep, ifExists: 'replace' });
      expect(after).toMatchObject({ type: 'saved', size: second.length });
      expect(after).not.toMatchObject({ etag: before.type === 'saved' && before.etag });
      expect(await readAll(await present(store, key))).toEqual(second);
    });

    it('replaces exactly the entry that was named', async () => {
      await store.write(key, pieces(first, 9000), keep);
      const { etag } = (await present(store, key)).info;
      const healing = { ...keep, ifExists: { etag } };
      expect(await store.write(key, pieces(second, 9000), healing)).toMatchObject({ type: 'saved' });
      expect(await store.write(key, pieces(first, 9000), healing)).toEqual({ type: 'exists' });
      expect(await readAll(await present(store, key))).toEqual(second);
    });

    it('replaces and removes exactly the named one of several parts', async () => {
      await store.write(key, pieces(randomBytes(LARGE), MIB), keep);
      const { etag } = (await present(store, key)).info;
      const other = randomBytes(LARGE);
      const healing = { ...keep, ifExists: { etag } };
      expect(await store.write(key, pieces(other, MIB), healing)).toMatchObject({ type: 'saved' });
      expect(await store.write(key, pieces(second, 9000), healing)).toEqual({ type: 'exists' });
      const entry = await present(store, key);
      expect(sha256(await readAll(entry))).toBe(sha256(other));
      const small = { ...keep, ifExists: { etag: entry.info.etag } };
      expect(await store.write(key, pieces(second, 9000), small)).toMatchObject({ type: 'saved' });
      await store.write(key, pieces(other, MIB), { ...keep, ifExists: 'replace' });
      const large = (await present(store, key)).info.etag;
      expect(await store.remove(key, { signal, etag })).toBe('another');
      expect(await store.remove(key, { signal, etag: large })).toBe('removed');
      expect(await store.open(key, { signal })).toBeUndefined();
    });

    it('writes where the named entry is gone', async () => {
      await store.write(key, pieces(first, 9000), keep);
      const { etag } = (await present(store, key)).info;
      await store.remove(key, { signal });
      expect(await store.write(key, pieces(second, 9000), { ...keep, ifExists: { etag } })).toMatchObject({
        type: 'saved',
      });
      expect(await readAll(await present(store, key))).toEqual(second);
    });

    it('removes exactly the entry that was named', async () => {
      await store.write(key, pieces(first, 9000), keep);
      const { etag } = (await present(store, key)).info;
      await store.write(key, pieces(second, 9000), { ...keep, ifExists: 'replace' });
      expect(await store.remove(key, { signal, etag })).toBe('another');
      const entry = await present(store, key);
      expect(await readAll(entry)).toEqual(second);
      expect(await store.remove(key, { signal, etag: entry.info.etag })).toBe('removed');
      expect(await store.open(key, { signal })).toBeUndefined();
    });
  });

  describe('a write that fails', () => {
    it.each([
      ['at once', 0],
      ['in its first part', 3 * MIB],
      ['after several parts', LARGE],
    ])('because its body throws %s leaves nothing', async (_, after) => {
      const failure = new CacheError('SOURCE_CHANGED', 'package-lock.json changed');
      const body = async function* () {
        yield* pieces(randomBytes(after), MIB);
        throw failure;
      };
      await expect(store.write(key, body(), keep)).rejects.toBe(failure);
      expect(await store.stat(key, { signal })).toBeUndefined();
      expect(await subject.leftovers()).toBe(0);
    });

    it.each([0, 3 * MIB, LARGE])(
      'by an abort while its body is stuck after %d bytes leaves nothing',
      async (after) => {
        const { signal: stopping, stop, reason } = stoppable();
        const body = async function* () {
          yield* pieces(randomBytes(after), MIB);
          stop();
          await new Promise(() => {});
        };
        await expect(store.write(key, body(), { ...keep, signal: stopping })).rejects.toBe(reason);
        expect(await store.stat(key, { signal })).toBeUndefined();
        expect(await subject.leftovers()).toBe(0);
      },
    );

    it('by an abort tells its body that no more is wanted', async () => {
      const { signal: stopping, stop, reason } = stoppable();
      let pulled = 0;
      const told = vi.fn();
      const body: AsyncIterable<Uint8Array> = {
        [Symbol.asyncIterator]: () => ({
          next: async () => {
            pulled += 1;
            if (pulled === 20) stop();
            await new Promise((resolve) => setImmediate(resolve));
            return { done: false, value: randomBytes(1000) };
          },
          return: async () => {
            told();
            return { done: true, value: undefined };
          },
        }),
      };
      await expect(store.write(key, body, { ...keep, signal: stopping })).rejects.toBe(reason);
      await expect.poll(() => told).toHaveBeenCalled();
    });

    it('leaves the entry that was there', async () => {
      const data = randomBytes(50_000);
      await store.write(key, pieces(data, 9000), keep);
      const body = async function* () {
        yield randomBytes(9 * MIB);
        throw new Error('no');
      };
      await expect(store.write(key, body(), { ...keep, ifExists: 'replace' })).rejects.toThrow('no');
      expect(await readAll(await present(store, key))).toEqual(data);
    });
  });

  describe('many at once', () => {
    it.each([
      ['small', 20_000],
      ['large', 9 * MIB],
    ] as const)(
      '8 writers of one %s entry, all different: one entry, and it is whole',
      async (size, bytes) => {
        const bodies = Array.from({ length: 8 }, () => randomBytes(bytes));
        const outcomes = await Promise.all(
          bodies.map(async (body) => {
            const writer = await subject.another();
            const outcome = await writer.write(key, pieces(body, MIB), keep);
            writer.close();
            return outcome.type;
          }),
        );
        const saved = outcomes.filter((type) => type === 'saved').length;
        expect(saved).toBeGreaterThanOrEqual(1);
        if (subject.oneWinner[size]) expect(saved).toBe(1);
        const stored = sha256(await readAll(await present(store, key)));
        expect(bodies.map(sha256)).toContain(stored);
        expect(await keysOf(store, subject.prefix)).toEqual([key]);
        expect(await subject.leftovers()).toBe(0);
      },
    );

    it('readers never see less than a whole entry while it is replaced', async () => {
      const versions = [randomBytes(300_000), randomBytes(400_000), randomBytes(500_000)];
      const digests = versions.map(sha256);
      await store.write(key, pieces(versions[0]!, MIB), keep);
      const progress = { writing: true };
      const reading = async (): Promise<number> => {
        const reader = await subject.another();
        let reads = 0;
        for (; progress.writing || reads === 0; reads += 1) {
          const entry = await present(reader, key);
          const read = await readAll(entry).catch((error: CacheError) => error);
          // To be read again: never is a mix taken for an entry.
          if (read instanceof CacheError) expect(read.code).toBe('STORE_REPLACED');
          else expect(digests).toContain(sha256(read));
        }
        reader.close();
        return reads;
      };
      const readers = [reading(), reading()];
      for (const version of [...versions, ...versions]) {
        await store.write(key, pieces(version, 50_000), { ...keep, ifExists: 'replace' });
      }
      progress.writing = false;
      for (const reads of await Promise.all(readers)) expect(reads).toBeGreaterThan(0);
    });
  });
}

export async function* pieces(data: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let start = 0; start < data.length; start += size) yield data.subarray(start, start + size);
}

export async function readAll(entry: OpenEntry): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of entry.body) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function present(
  store: Store,
  key: string,
  signal = new AbortController().signal,
): Promise<OpenEntry> {
  const entry = await store.open(key, { signal });
  if (entry === undefined) throw new Error(`${key} is missing`);
  return entry;
}

export async function keysOf(store: Store, prefix: string): Promise<string[]> {
  const keys: string[] = [];
  for await (const { key } of store.list(prefix, { signal: new AbortController().signal })) keys.push(key);
  return keys.sort();
}

export function sha256(data: Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

export function stoppable(): { signal: AbortSignal; stop: () => void; reason: CacheError } {
  const controller = new AbortController();
  const reason = new CacheError('INTERRUPTED', 'stopped by SIGTERM');
  return { signal: controller.signal, stop: () => controller.abort(reason), reason };
}
