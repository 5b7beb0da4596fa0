/** The worked examples of Amazon's own documentation (sig-v4-header-based-auth, sigv4-streaming, sigv4-streaming-trailers). */
import { describe, expect, it } from 'vitest';
import { receiveBody } from './body.ts';
import { authenticate } from './signature.ts';
import type { SignedRequest } from './signature.ts';

const USER = {
  accessKeyId: 'AKIAIOSFODNN7EXAMPLE',
  secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY',
};
const NOW = new Date('2013-05-24T00:00:00Z');
const EMPTY = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function request(options: {
  method: string;
  path: string;
  query?: string;
  payload: string;
  signature: string;
  headers?: Record<string, string>;
}): SignedRequest {
  const headers: Record<string, string> = {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256': options.payload,
    'x-amz-date': '20130524T000000Z',
    ...options.headers,
  };
  const names = Object.keys(headers).sort().join(';');
  const credential = `${USER.accessKeyId}/20130524/us-east-1/s3/aws4_request`;
  headers['authorization'] =
    `AWS4-HMAC-SHA256 Credential=${credential},SignedHeaders=${names},Signature=${options.signature}`;
  return {
    method: options.method,
    rawPath: options.path,
    query: new URLSearchParams(options.query),
    headers,
  };
}

const GET = {
  method: 'GET',
  path: '/test.txt',
  payload: EMPTY,
  headers: { range: 'bytes=0-9' },
  signature: 'f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
};

describe('header signatures', () => {
  it.for([
    ['GET with a range', GET],
    [
      'PUT',
      {
        method: 'PUT',
        path: '/test%24file.text',
        payload: '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
        headers: { date: 'Fri, 24 May 2013 00:00:00 GMT', 'x-amz-storage-class': 'REDUCED_REDUNDANCY' },
        signature: '98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd',
      },
    ],
    [
      'a subresource',
      {
        method: 'GET',
        path: '/',
        query: 'lifecycle',
        payload: EMPTY,
        signature: 'fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543',
      },
    ],
    [
      'a listing',
      {
        method: 'GET',
        path: '/',
        query: 'max-keys=2&prefix=J',
        payload: EMPTY,
        signature: '34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7',
      },
    ],
  ] as const)('accept the example of %s', ([, example]) => {
    expect(authenticate(request(example), [USER], NOW)).toMatchObject({ user: USER, region: 'us-east-1' });
  });

  it.for([
    ['another path', { ...GET, path: '/test.txd' }, 'SignatureDoesNotMatch'],
    ['another header', { ...GET, headers: { range: 'bytes=0-8' } }, 'SignatureDoesNotMatch'],
    ['another query', { ...GET, query: 'versionId=1' }, 'SignatureDoesNotMatch'],
    ['another method', { ...GET, method: 'PUT' }, 'SignatureDoesNotMatch'],
    [
      'another date',
      { ...GET, headers: { ...GET.headers, 'x-amz-date': '20130524T000001Z' } },
      'SignatureDoesNotMatch',
    ],
    [
      'another day',
      { ...GET, headers: { ...GET.headers, 'x-amz-date': '20130525T000000Z' } },
      'AccessDenied',
    ],
    [
      'a token nobody issued',
      { ...GET, headers: { ...GET.headers, 'x-amz-security-token': 'x' } },
      'InvalidToken',
    ],
  ] as const)('refuse %s', ([, example, code]) => {
    expect(() => authenticate(request(example), [USER], NOW)).toThrow(expect.objectContaining({ code }));
  });

  it('refuse a header added behind the signature', () => {
    const tampered = request(GET);
    tampered.headers['x-amz-meta-extra'] = '1';
    expect(() => authenticate(tampered, [USER], NOW)).toThrow(
      expect.objectContaining({ code: 'AccessDenied' }),
    );
  });

  it('refuse a clock more than 15 minutes off', () => {
    const late = new Date(NOW.getTime() + 15 * 60_000 + 1000);
    const expected = expect.objectContaining({ code: 'RequestTimeTooSkewed' });
    expect(() => authenticate(request(GET), [USER], late)).toThrow(expected);
    expect(authenticate(request(GET), [USER], new Date(NOW.getTime() + 15 * 60_000))).toBeDefined();
  });
});

const PLAIN = {
  payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD',
  seed: '4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9',
  chunks: [
    'ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648',
    '0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497',
    'b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9',
  ],
  end: '\r\n',
};
const TRAILER = {
  payload: 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER',
  seed: '106e2a8a18243abcf37539882f36619c00e2dfc72633413f02d3b74544bfeb8e',
  chunks: [
    'b474d8862b1487a5145d686f57f013e54db672cee1c953b3010fb58501ef5aa2',
    '1c1344b170168f8e65b41376b44b20fe354e373826ccbbe2c1d40a8cae51e5c7',
    '2ca2aba2005185cf7159c6277faf83795951dd77a3a99e6e65d5c9f85863f992',
  ],
  end: 'x-amz-checksum-crc32c:sOO8/Q==\r\nx-amz-trailer-signature:d81f82fc3505edab99d459891051a732e8730629a2e4a59689829ca17fe2e435\r\n\r\n',
};

function streamed(example: typeof PLAIN): { request: SignedRequest; body: string } {
  const [first = '', second = '', last = ''] = example.chunks;
  const body =
    `10000;chunk-signature=${first}\r\n${'a'.repeat(65_536)}\r\n` +
    `400;chunk-signature=${second}\r\n${'a'.repeat(1024)}\r\n` +
    `0;chunk-signature=${last}\r\n${example.end}`;
  const trailer = example === TRAILER;
  return {
    body,
    request: request({
      method: 'PUT',
      path: '/examplebucket/chunkObject.txt',
      payload: example.payload,
      signature: example.seed,
      headers: {
        host: 's3.amazonaws.com',
        'content-encoding': 'aws-chunked',
        ...(!trailer && { 'content-length': '66824' }),
        'x-amz-decoded-content-length': '66560',
        'x-amz-storage-class': 'REDUCED_REDUNDANCY',
        ...(trailer && { 'x-amz-trailer': 'x-amz-checksum-crc32c' }),
      },
    }),
  };
}

async function receive(
  example: typeof PLAIN,
  change: (body: string) => string = (body) => body,
): Promise<number> {
  const { request: signed, body } = streamed(example);
  return (await receiveBody(pieces(change(body)), signed.headers, authenticate(signed, [USER], NOW))).size;
}

describe('URLs signed in advance', () => {
  /** Of the documentation too: a day for `test.txt`. */
  const url = (change: Record<string, string> = {}, headers: Record<string, string> = {}): SignedRequest => ({
    method: 'GET',
    rawPath: '/test.txt',
    headers: { host: 'examplebucket.s3.amazonaws.com', ...headers },
    query: new URLSearchParams({
      'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
      'X-Amz-Credential': 'AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request',
      'X-Amz-Date': '20130524T000000Z',
      'X-Amz-Expires': '86400',
      'X-Amz-SignedHeaders': 'host',
      'X-Amz-Signature': 'aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404',
      ...change,
    }),
  });

  it('accepts the example, for as long as it says, with a range', () => {
    const late = new Date(NOW.getTime() + 86_400_000);
    expect(authenticate(url({}, { range: 'bytes=0-9' }), [USER], late).user).toBe(USER);
    expect(() => authenticate(url(), [USER], new Date(late.getTime() + 1))).toThrow('Request has expired');
  });

  it('refuses another method, another path, another time, and headers that it does not cover', () => {
    for (const wrong of [
      { ...url(), method: 'HEAD' },
      { ...url(), rawPath: '/other.txt' },
      url({ 'X-Amz-Expires': '86401' }),
      url({}, { 'x-amz-meta-a': 'b' }),
    ]) {
      expect(() => authenticate(wrong, [USER], NOW)).toThrow();
    }
  });
});

describe.for([
  ['signed chunks', PLAIN],
  ['signed chunks with a trailer', TRAILER],
] as const)('%s', ([, example]) => {
  it('accept the example', async () => {
    expect(await receive(example)).toBe(66_560);
  });

  it.for([
    ['another byte', (body: string) => body.replace('aaaa\r\n', 'aaab\r\n'), 'SignatureDoesNotMatch'],
    ['chunks cut off', (body: string) => body.slice(0, 66_000), 'IncompleteBody'],
    [
      'the last chunk left out',
      (body: string) => body.slice(0, body.indexOf('0;chunk-signature', 60_000)),
      'IncompleteBody',
    ],
    [
      'a chunk without its signature',
      (body: string) => body.replace(/400;chunk-signature=.*/, '400'),
      'SignatureDoesNotMatch',
    ],
    ['no framing', () => 'a'.repeat(66_560), 'IncompleteBody'],
  ] as const)('refuse %s', async ([, change, code]) => {
    await expect(receive(example, change)).rejects.toMatchObject({ code });
  });
});

it('refuses a trailer that is wrong or missing', async () => {
  const wrong = receive(TRAILER, (body) => body.replace('sOO8/Q==', 'sOO8/A=='));
  await expect(wrong).rejects.toMatchObject({ code: 'SignatureDoesNotMatch' });
  const missing = receive(TRAILER, (body) => body.replace(/x-amz-checksum-crc32c.*\r\n/, ''));
  await expect(missing).rejects.toMatchObject({ code: 'SignatureDoesNotMatch' });
});

describe('unsigned chunks with a trailer', () => {
  const receiveUnsigned = (body: string) => {
    const headers = { 'x-amz-decoded-content-length': '5', 'x-amz-trailer': 'x-amz-checksum-crc32' };
    const signed = authenticate(request(GET), [USER], NOW);
    const payloadHash = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER';
    return receiveBody(pieces(body), headers, { ...signed, payloadHash });
  };

  it('are taken apart', async () => {
    const received = await receiveUnsigned(
      '3\r\nhel\r\n2\r\nlo\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n',
    );
    expect(Buffer.concat(received.chunks).toString()).toBe('hello');
    expect(received.checksum).toEqual({ algorithm: 'crc32', value: 'NhCmhg==' });
  });

  it.for([
    ['a wrong checksum', '5\r\nhello\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n', 'BadDigest'],
    ['no checksum', '5\r\nhello\r\n0\r\n\r\n', 'MalformedXML'],
    ['another length', '4\r\nhell\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n', 'IncompleteBody'],
  ] as const)('are refused with %s', async ([, body, code]) => {
    await expect(receiveUnsigned(body)).rejects.toMatchObject({ code });
  });
});

async function* pieces(text: string): AsyncGenerator<Buffer> {
  for (const piece of text.match(/[\s\S]{1,1000}/g) ?? []) yield Buffer.from(piece);
}
