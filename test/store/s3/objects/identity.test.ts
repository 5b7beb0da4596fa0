/** An object that was copied onto itself has another ETag, and is the same object by its write id. */
import { randomBytes } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import type { Identity } from '../../../../src/store/identity.ts';
import type { LoggedRequest } from '../../../support/s3-server.ts';
import { pieces, present, readAll, sha256 } from '../../contract.ts';
import { KEY, MIB, outcomeOf, startOf, useScene } from '../faults.ts';

const scene = useScene();
const { signal } = new AbortController();
const keep = { ifExists: 'keep', metadata: {}, signal } as const;

let copies = 0;
/** As a service does it: the bytes and what travels with them stay. */
function copyOntoItself(): void {
  scene.server.bucket().objects.get(KEY)!.etag = `of-copy-${(copies += 1)}`;
}

/** Another save of the same bytes. */
function saveAgain(): void {
  const body = scene.server.read('test-bucket', KEY)!;
  scene.server.place('test-bucket', { key: KEY, body, metadata: { 'write-id': 'another' } });
  copyOntoItself();
}

async function saved(bytes = 1000): Promise<{ body: Buffer; identity: Identity }> {
  const body = randomBytes(bytes);
  await scene.store.write(KEY, pieces(body, MIB), keep);
  const { etag, writeId } = (await scene.store.stat(KEY, { signal }))!;
  return { body, identity: { etag, writeId } };
}

function before(
  operation: string,
  run: () => void,
  match: (request: LoggedRequest) => boolean = () => true,
): void {
  scene.server.faults.add({
    match: (request) => request.operation === operation && match(request),
    effect: { type: 'before', run },
  });
}

describe('a download', () => {
  const from =
    (start: number) =>
    ({ range }: LoggedRequest) =>
      startOf(range) >= start;

  it('goes on with the ETag of the copy, however often it is copied', async () => {
    const { body } = await saved(12 * MIB);
    for (const start of [3, 5, 7]) before('GetObject', copyOntoItself, from(start * MIB));
    expect(sha256(await readAll(await present(scene.store, KEY)))).toBe(sha256(body));
    expect(scene.server.faults.left).toBe(0);
  });

  it('ends where another save has taken its place, of the same bytes too', async () => {
    await saved(6 * MIB);
    before('GetObject', saveAgain, from(3 * MIB));
    expect(await outcomeOf(async () => readAll(await present(scene.store, KEY)))).toBe('STORE_REPLACED');
  });

  it('ends where what claims to be it has another size', async () => {
    const { identity } = await saved(6 * MIB);
    const forge = (): void => {
      const metadata = { 'write-id': identity.writeId! };
      scene.server.place('test-bucket', { key: KEY, body: randomBytes(5 * MIB), metadata });
    };
    before('GetObject', forge, from(3 * MIB));
    expect(await outcomeOf(async () => readAll(await present(scene.store, KEY)))).toBe('STORE_REPLACED');
  });
});

describe('a deletion', () => {
  it.each([
    ['before it begins', (): void => copyOntoItself()],
    ['between the look and the deletion', (): void => before('DeleteObject', copyOntoItself)],
  ])('finds the object that was copied %s', async (_, copy) => {
    const { identity } = await saved();
    copy();
    expect(await scene.store.remove(KEY, { signal, ...identity })).toBe('removed');
    expect(scene.server.read('test-bucket', KEY)).toBeUndefined();
  });

  it('leaves another save alone', async () => {
    const { identity } = await saved();
    before('DeleteObject', saveAgain);
    expect(await scene.store.remove(KEY, { signal, ...identity })).toBe('another');
    expect(scene.server.read('test-bucket', KEY)).toBeDefined();
  });

  it('goes by the ETag where no mark is known', async () => {
    const { identity } = await saved();
    const { etag } = identity;
    copyOntoItself();
    expect(await scene.store.remove(KEY, { signal, etag })).toBe('another');
  });
});

describe.each([
  ['of one part', 1000, 'PutObject'],
  ['of several parts', 6 * MIB, 'CompleteMultipartUpload'],
])('an entry %s', (_, bytes, operation) => {
  it.each([
    ['before it begins', (): void => copyOntoItself()],
    ['while it is sent', (): void => before(operation, copyOntoItself)],
  ])('takes the place of the object that was copied %s', async (__, copy) => {
    const { identity } = await saved();
    copy();
    const body = randomBytes(bytes);
    const healing = { ...keep, ifExists: identity };
    expect(await scene.store.write(KEY, pieces(body, MIB), healing)).toMatchObject({ type: 'saved' });
    expect(sha256(scene.server.read('test-bucket', KEY)!)).toBe(sha256(body));
  });

  it('does not take that of another save', async () => {
    const { body, identity } = await saved();
    before(operation, saveAgain);
    const healing = { ...keep, ifExists: identity };
    expect(await scene.store.write(KEY, pieces(randomBytes(bytes), MIB), healing)).toEqual({
      type: 'exists',
    });
    expect(scene.server.read('test-bucket', KEY)).toEqual(body);
    expect(scene.server.bucket().uploads.size).toBe(0);
  });
});
