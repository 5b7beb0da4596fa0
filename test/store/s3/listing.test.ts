/** Listings that cannot be right. `prune` deletes by what is listed. */
import { describe, expect, it } from 'vitest';
import type { EntryInfo } from '../../../src/store/store.ts';
import { connect } from '../../../src/store/s3/connection/connection.ts';
import { listObjects } from '../../../src/store/s3/listing.ts';
import { FOREVER, outcomeOf, useScene } from './faults.ts';
import { s3Options } from './subject.ts';

const scene = useScene();
const { signal } = new AbortController();

function serve(...pages: string[]): void {
  for (const [index, page] of pages.entries()) {
    scene.server.faults.add({
      match: ({ operation }) => operation === 'ListObjectsV2',
      times: index === pages.length - 1 ? FOREVER : 1,
      effect: { type: 'document', make: () => `<ListBucketResult>${page}</ListBucketResult>` },
    });
  }
}

function object(key: string, { size = '10', modified = '2026-01-01T00:00:00.000Z' } = {}): string {
  return `<Contents><Key>cache/${key}</Key><LastModified>${modified}</LastModified><ETag>"e"</ETag><Size>${size}</Size></Contents>`;
}

const END = '<IsTruncated>false</IsTruncated>';
const more = (token: string): string =>
  `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`;

async function list(): Promise<EntryInfo[]> {
  const entries: EntryInfo[] = [];
  for await (const entry of scene.store.list('cache/', { signal })) entries.push(entry);
  return entries;
}

describe('taken', () => {
  it('a key that two pages have counts once', async () => {
    serve(object('a') + object('b') + more('1'), object('b') + object('c') + END);
    expect((await list()).map(({ key }) => key)).toEqual(['cache/a', 'cache/b', 'cache/c']);
  });

  it.each(['yesterday', '', '+99999-01-01T00:00:00Z'])('a date "%s" is unknown', async (modified) => {
    serve(object('a', { modified }) + object('b') + END);
    const [first, second] = await list();
    expect(first?.modified).toBeUndefined();
    expect(second?.modified).toEqual(new Date('2026-01-01T00:00:00.000Z'));
  });

  it('a page without a key goes on', async () => {
    serve(more('1'), object('a') + END);
    expect(await list()).toHaveLength(1);
  });
});

describe('refused', () => {
  it.each(['unknown', '-5', '1e300', '99999999999999999999', 'NaN', ''])('a size "%s"', async (size) => {
    serve(object('a') + object('b', { size }) + END);
    await expect(list()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringContaining('no possible size for cache/b'),
    });
  });

  it.each([
    ['without a token for the rest', /not complete/, [object('a') + '<IsTruncated>true</IsTruncated>']],
    ['whose token comes again', /round in circles/, [object('a') + more('1')]],
    ['whose tokens come again', /round in circles/, [more('1'), more('2'), more('1')]],
    ['with two ends', /cannot be understood/, [object('a') + '<IsTruncated>true</IsTruncated>' + END]],
  ])('one %s', async (_, said, pages) => {
    serve(...pages);
    await expect(list()).rejects.toMatchObject({
      code: 'STORE_FAILED',
      message: expect.stringMatching(said),
    });
  });

  it('one of more keys than any prefix holds', async () => {
    serve(object('a') + object('b') + more('1'), object('c') + more('2'), object('d') + END);
    const connection = await connect(s3Options(scene.server, { bucket: 'test-bucket' }));
    const listAll = async (maxKeys: number): Promise<number> => {
      let count = 0;
      for await (const _ of listObjects(connection, 'cache/', { signal, maxKeys })) count += 1;
      return count;
    };
    await expect(listAll(2)).rejects.toMatchObject({ message: expect.stringContaining('does not end') });
    connection.close();
  });

  it.each(['', '<html/>', '{"a":1}'])('an answer "%s"', async (body) => {
    const first = `HTTP/1.1 200 OK\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`;
    scene.server.faults.add({
      match: ({ operation }) => operation === 'ListObjectsV2',
      times: FOREVER,
      effect: { type: 'raw', first },
    });
    expect(await outcomeOf(list)).toBe('STORE_NOT_S3');
  });
});
