import { deflateRawSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeTicket, encodeTicket, MOST_TICKET_BYTES, type Ticket } from '../src/ticket.ts';

const TICKET: Ticket = {
  bucket: 'my-bucket',
  prefix: 'team/cache',
  origin: 'https://my-bucket.s3.eu-central-1.amazonaws.com',
  expiresMs: 1_800_000_000_000,
  entries: [
    { key: 'team/cache/a-0.tar.gz', url: '/team/cache/a-0.tar.gz?X-Amz-Signature=1' },
    {
      key: 'team/cache/b b.tar.gz',
      url: '/team/cache/b%20b.tar.gz?X-Amz-Signature=2',
      found: { size: 3, etag: 'e', modifiedMs: undefined },
    },
  ],
};

const pack = (value: unknown): string => `t1.${deflateRawSync(JSON.stringify(value)).toString('base64url')}`;
type Rows = [string, string, string, number | string, string[][], ...number[]];

/** The JSON of `TICKET`, to change. */
const rows = (): Rows => [
  TICKET.bucket,
  TICKET.prefix,
  TICKET.origin,
  TICKET.expiresMs,
  [['team/cache/a-0.tar.gz', '/team/cache/a-0.tar.gz?X-Amz-Signature=1']],
];

it('comes back as it was', () => {
  expect(decodeTicket(encodeTicket(TICKET))).toEqual(TICKET);
});

it('is one word, for shells and env files', () => {
  expect(encodeTicket(TICKET)).toMatch(/^t1\.[\w-]+$/);
});

it('holds no more than a variable should', () => {
  const entries = Array.from({ length: 400 }, (_, n) => {
    const signature = Buffer.from(String(n * 7919).repeat(9)).toString('hex');
    return { key: `team/cache/${n}`, url: `/team/cache/${n}?X-Amz-Signature=${signature}` };
  });
  expect(encodeTicket({ ...TICKET, entries: entries.slice(0, 10) }).length).toBeLessThan(MOST_TICKET_BYTES);
  const many = entries.map((entry, n) => ({
    ...entry,
    url: `${entry.url}${Math.sin(n)}${Math.cos(n)}${Math.tan(n)}`,
  }));
  expect(() => encodeTicket({ ...TICKET, entries: [...many, ...many, ...many, ...many] })).toThrow(
    /too many/,
  );
});

describe('refuses', () => {
  it.each<[string, (value: Rows) => unknown]>([
    ['an origin with a path', (v) => (v[2] = 'https://host/path')],
    ['an origin with a password', (v) => (v[2] = 'https://user:secret@host')],
    ['another protocol', (v) => (v[2] = 'file://host')],
    ['a URL of another key', (v) => (v[4][0]![1] = '/team/cache/other.tar.gz?X-Amz-Signature=1')],
    ['a URL with a host of its own', (v) => (v[4][0]![1] = '//evil.example/team/cache/a-0.tar.gz')],
    ['a key outside the prefix', (v) => (v[4][0] = ['x/a', '/x/a?s'])],
    ['control characters in a key', (v) => (v[4][0] = ['team/cache/\u001b', '/team/cache/%1b'])],
    ['a bucket that is none', (v) => (v[0] = 'a/b')],
    ['a time that is none', (v) => (v[3] = 'soon')],
    ['more than it holds', (v) => v.push(1)],
  ])('%s', (_name, change) => {
    const value = rows();
    expect(decodeTicket(pack(value)).bucket).toBe('my-bucket');
    change(value);
    expect(() => decodeTicket(pack(value))).toThrow(/^CACHE_TICKET is not a whole ticket$/);
  });

  it('what inflates without end', () => {
    const bomb = `t1.${deflateRawSync(Buffer.alloc(8_000_000, 32)).toString('base64url')}`;
    expect(bomb.length).toBeLessThan(MOST_TICKET_BYTES);
    expect(() => decodeTicket(bomb)).toThrow('not a whole ticket');
  });

  it('anything else, without showing it', () => {
    const whole = encodeTicket(TICKET);
    const texts = fc.oneof(
      fc.string(),
      fc.nat(whole.length - 1).map((length) => whole.slice(0, length)),
      fc.json().map((json) => pack(JSON.parse(json))),
    );
    fc.assert(
      fc.property(texts, (text) => {
        expect(() => decodeTicket(text)).toThrow(/^CACHE_TICKET is not a whole ticket$/);
      }),
      { numRuns: 300 },
    );
  });
});
