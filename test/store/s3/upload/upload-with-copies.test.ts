import { createHash, randomBytes } from 'node:crypto';
import { beforeEach, describe, expect, it } from 'vitest';
import { bytesOf, type Chunk } from '../../../../src/async/chunks.ts';
import { createDirectoryStore } from '../../../../src/store/local/local-store.ts';
import { createFlights } from '../../../../src/store/local/flight.ts';
import { createTieredStore } from '../../../../src/store/tiered.ts';
import { createS3Store } from '../../../../src/store/s3/s3-store.ts';
import type { Copies, EntryInfo, Store, WriteOutcome } from '../../../../src/store/store.ts';
import { availableServers, describeEachServer } from '../../../support/servers.ts';
import { temporaryDir } from '../../../archive/unpacking.ts';
import { denied, FOREVER, internal, KEY, MIB, useScene } from '../faults.ts';
import { createS3Subject, s3Options } from '../subject.ts';

const never = new AbortController().signal;

/** The older entry, in members, and a newer one: a member changed, one is gone, one is new. */
function makeEntries(): { older: Buffer[]; newer: Buffer[]; offsets: Map<Uint8Array, number> } {
  const older = Array.from({ length: 16 }, () => randomBytes(2 * MIB));
  const newer = [...older];
  newer[0] = randomBytes(300_000);
  newer.splice(7, 1, randomBytes(MIB));
  newer.splice(14, 1);
  newer.push(randomBytes(10_000));
  const offsets = new Map<Uint8Array, number>();
  let offset = 0;
  for (const member of older) {
    offsets.set(member, offset);
    offset += member.length;
  }
  return { older, newer, offsets };
}

/** The newer entry, with what the older one holds of it. */
function chunksOf(members: readonly Uint8Array[], offsets: Map<Uint8Array, number>): Chunk[] {
  return members.map((member) => {
    const offset = offsets.get(member);
    return offset === undefined ? member : { offset, length: member.length, read: async () => member };
  });
}

async function* body<T>(members: readonly T[]): AsyncGenerator<T> {
  yield* members;
}

async function writeOlder(store: Store, key: string, older: Buffer[]): Promise<EntryInfo> {
  const written = await store.write(key, body(older), { signal: never, ifExists: 'keep', metadata: {} });
  if (written.type !== 'saved') throw new Error(written.type);
  return { key, modified: undefined, ...written };
}

async function digestOf(store: Store, key: string): Promise<string | undefined> {
  const entry = await store.open(key, { signal: never });
  if (entry === undefined) return undefined;
  const hash = createHash('sha256');
  for await (const chunk of entry.body) hash.update(chunk);
  return hash.digest('hex');
}

const sha256 = (members: readonly Uint8Array[]): string =>
  createHash('sha256').update(Buffer.concat(members)).digest('hex');

describeEachServer(await availableServers(), (target) => {
  it('an upload that copies from another entry is what one without would be', async () => {
    const { store, prefix, leftovers } = await createS3Subject(target());
    const { older, newer, offsets } = makeEntries();
    const from = await writeOlder(store, `${prefix}older`, older);
    const metadata = { some: 'thing' };
    const write = (): Promise<WriteOutcome> =>
      store.write(`${prefix}newer`, body(newer), {
        signal: never,
        ifExists: 'keep',
        metadata,
        copies: { from, chunks: body(chunksOf(newer, offsets)) },
      });
    const first = await write();
    // Swift refuses the condition that the copy carries, with the very ETag that it gave.
    expect(first.type).toBe(target().name.startsWith('Swift') ? 'not copied' : 'saved');
    const outcome = first.type === 'not copied' ? await write() : first;
    expect(outcome).toMatchObject({ type: 'saved', size: Buffer.concat(newer).length });
    expect(await digestOf(store, `${prefix}newer`)).toBe(sha256(newer));
    expect((await store.stat(`${prefix}newer`, { signal: never }))?.metadata).toMatchObject(metadata);
    expect(await write()).toEqual({ type: 'exists' });
    // The one that was copied from may go.
    await store.remove(`${prefix}older`, { signal: never });
    expect(await digestOf(store, `${prefix}newer`)).toBe(sha256(newer));
    expect(await leftovers?.()).toBe(0);
  });
});

describe('on the server of the tests', () => {
  const scene = useScene();
  const { older, newer, offsets } = makeEntries();
  const BUCKET = 'test-bucket';
  const OLDER = 'cache/older.tar.gz';
  let store: Store;
  let from: Copies['from'];

  beforeEach(async () => {
    store = await createS3Store(s3Options(scene.server, { bucket: BUCKET }));
    from = await writeOlder(store, OLDER, older);
    scene.server.requests.length = 0;
  });

  const stored = chunksOf(newer, offsets);

  const write = (
    chunks: AsyncIterable<Chunk> = body(stored),
    signal: AbortSignal = never,
  ): Promise<WriteOutcome> =>
    store.write(KEY, bytesOf(chunks), {
      signal,
      ifExists: 'keep',
      metadata: {},
      copies: { from, chunks },
    });

  const bucket = (): ReturnType<typeof scene.server.bucket> => scene.server.bucket(BUCKET);

  function expectNothingLeft(): void {
    expect([...bucket().objects.keys()]).toEqual([OLDER]);
    expect(bucket().uploads.size).toBe(0);
  }

  it('sends what is new, filled up to the least part, and no more', async () => {
    expect(await write()).toMatchObject({ type: 'saved' });
    const sent = scene.server.requests
      .filter(({ operation }) => operation === 'UploadPart')
      .map(({ headers }) => Number(headers['content-length']));
    // Around the first member, around the second new one, and the end.
    expect(sent).toEqual([5 * MIB, 5 * MIB, expect.any(Number)]);
    expect(sent[2]).toBeLessThan(3 * MIB);
    expect(scene.server.count('UploadPartCopy')).toBeGreaterThan(1);
    expect(await digestOf(store, KEY)).toBe(sha256(newer));
  });

  it('leaves nothing where the service does not copy, and asks it no more', async () => {
    scene.server.faults.add({
      match: ({ operation }) => operation === 'UploadPartCopy',
      times: FOREVER,
      effect: { type: 'error', status: 501, code: 'NotImplemented' },
    });
    expect(await write()).toMatchObject({ type: 'not copied', reason: expect.any(String) });
    expectNothingLeft();
    const asked = scene.server.count('UploadPartCopy');
    expect(await write()).toMatchObject({ type: 'saved' });
    expect(scene.server.count('UploadPartCopy')).toBe(asked);
    expect(await digestOf(store, KEY)).toBe(sha256(newer));
  });

  it.each([
    ['may not be read', denied],
    ['is refused as a part of another size', { type: 'error', status: 400, code: 'InvalidPart' } as const],
  ])('leaves nothing where the older entry %s', async (_, effect) => {
    scene.server.faults.add({
      match: ({ operation }) => operation === 'UploadPartCopy',
      times: FOREVER,
      effect,
    });
    expect(await write()).toMatchObject({ type: 'not copied' });
    expectNothingLeft();
  });

  it('leaves nothing where the older entry is replaced before the end', async () => {
    async function* replacing(): AsyncGenerator<Chunk> {
      yield* stored;
      scene.server.place(BUCKET, { key: OLDER, body: randomBytes(32 * MIB) });
    }
    expect(await write(replacing())).toMatchObject({ type: 'not copied' });
    expectNothingLeft();
  });

  it('leaves nothing where the service has copied something else', async () => {
    scene.server.faults.add({
      match: ({ operation }) => operation === 'CompleteMultipartUpload',
      times: 1,
      effect: {
        type: 'before',
        run: () => {
          const [upload] = [...bucket().uploads.values()];
          const part = upload!.parts.get(upload!.parts.size)!;
          part.chunks = part.chunks.map((chunk) => chunk.subarray(1));
          part.size = part.chunks.reduce((total, chunk) => total + chunk.length, 0);
        },
      },
    });
    expect(await write()).toMatchObject({ type: 'not copied' });
    expectNothingLeft();
  });

  it('copies from another entry after one that was replaced', async () => {
    const replaced = { ...from, etag: 'f'.repeat(32), writeId: 'another' };
    const chunks = body(stored);
    const first = await store.write(KEY, bytesOf(chunks), {
      signal: never,
      ifExists: 'keep',
      metadata: {},
      copies: { from: replaced, chunks },
    });
    expect(first).toMatchObject({ type: 'not copied', isForGood: false });
    expectNothingLeft();
    const asked = scene.server.count('UploadPartCopy');
    expect(await write()).toMatchObject({ type: 'saved' });
    expect(scene.server.count('UploadPartCopy')).toBeGreaterThan(asked);
  });

  it.each([
    ['the network fails', 'UploadPartCopy', { type: 'reset' }, 'STORE_UNREACHABLE'],
    ['the service stays busy', 'UploadPartCopy', internal, 'STORE_FAILED'],
    ['parts may not be written', 'UploadPart', denied, 'STORE_ACCESS_DENIED'],
    ['no upload may be begun', 'CreateMultipartUpload', denied, 'STORE_ACCESS_DENIED'],
    ['it may not be completed', 'CompleteMultipartUpload', denied, 'STORE_ACCESS_DENIED'],
  ] as const)('ends as an upload without copies where %s', async (_, operation, effect, code) => {
    scene.server.faults.add({ match: (request) => request.operation === operation, times: FOREVER, effect });
    const writing = scene.store.write(KEY, bytesOf(body([])), {
      signal: never,
      ifExists: 'keep',
      metadata: {},
      copies: { from, chunks: body(stored) },
    });
    await expect(writing).rejects.toMatchObject({ code });
    expectNothingLeft();
  });

  it('knows its own object where the answer to its completion is lost for good', async () => {
    scene.server.faults.add({
      match: ({ operation }) => operation === 'CompleteMultipartUpload',
      times: FOREVER,
      effect: { type: 'reset', answered: true },
    });
    expect(await write()).toMatchObject({ type: 'saved', size: Buffer.concat(newer).length });
    expect(await digestOf(store, KEY)).toBe(sha256(newer));
  });

  it('takes the upload back after its last request has ended', async () => {
    const operations: string[] = [];
    scene.server.faults.add({
      match: ({ operation }) => {
        operations.push(operation);
        return operation === 'UploadPartCopy';
      },
      times: FOREVER,
      effect: { type: 'stall' },
    });
    const failure = new Error('the tree has changed');
    async function* failing(): AsyncGenerator<Chunk> {
      yield* stored.slice(0, 14);
      await expect.poll(() => operations, { timeout: 10_000 }).toContain('UploadPartCopy');
      throw failure;
    }
    await expect(write(failing())).rejects.toBe(failure);
    expect(operations.at(-1)).toBe('AbortMultipartUpload');
    expectNothingLeft();
  });

  it('leaves the copy of a directory in front to the upload that has all of it', async () => {
    const dir = temporaryDir();
    const emit = (): void => {};
    const local = createDirectoryStore({ dir, maxSizeBytes: 1e9, emit });
    const tiered = createTieredStore({ local, remote: store, flights: createFlights(dir), emit });
    const writeBoth = (): Promise<WriteOutcome> => {
      const chunks = body(stored);
      return tiered.write(KEY, bytesOf(chunks), {
        signal: never,
        ifExists: 'replace',
        metadata: {},
        copies: { from, chunks },
      });
    };
    scene.server.faults.add({
      match: ({ operation }) => operation === 'UploadPartCopy',
      times: 1,
      effect: { type: 'error', status: 404, code: 'NoSuchKey' },
    });
    expect(await writeBoth()).toMatchObject({ type: 'not copied' });
    expect(await local.stat(KEY, { signal: never })).toBeUndefined();
    scene.server.requests.length = 0;
    expect(await writeBoth()).toMatchObject({ type: 'saved' });
    expect(await digestOf(local, KEY)).toBe(sha256(newer));
    expect(await digestOf(store, KEY)).toBe(sha256(newer));
  });

  it('throws what the body throws, and leaves nothing', async () => {
    const failure = new Error('the tree has changed');
    async function* failing(): AsyncGenerator<Chunk> {
      yield* stored.slice(0, 8);
      throw failure;
    }
    await expect(write(failing())).rejects.toBe(failure);
    expectNothingLeft();
  });

  it('ends when it is aborted, and leaves nothing', async () => {
    const controller = new AbortController();
    const reason = new Error('stop');
    async function* aborting(): AsyncGenerator<Chunk> {
      yield* stored.slice(0, 8);
      controller.abort(reason);
      yield* stored.slice(8);
    }
    await expect(write(aborting(), controller.signal)).rejects.toBe(reason);
    expectNothingLeft();
  });

  it.each(['500 once', 'a reset once'])('goes on after %s', async (what) => {
    scene.server.faults.add({
      match: ({ operation }) => operation === 'UploadPartCopy',
      times: 1,
      effect: what.startsWith('500')
        ? { type: 'error', status: 500, code: 'InternalError' }
        : { type: 'reset' },
    });
    expect(await write()).toMatchObject({ type: 'saved' });
    expect(await digestOf(store, KEY)).toBe(sha256(newer));
  });

  it('copies nothing from a small entry, nor from a key that would end radosgw', async () => {
    for (const other of [
      { ...from, size: 9 * MIB },
      { ...from, key: 'cache/100%.tar.gz' },
    ]) {
      const chunks = body(stored);
      await store.write(`${KEY}-${other.size}`, bytesOf(chunks), {
        signal: never,
        ifExists: 'replace',
        metadata: {},
        copies: { from: other, chunks },
      });
    }
    expect(scene.server.count('UploadPartCopy')).toBe(0);
  });
});
