import { createServer, get, Agent, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { startPacedProxy, type Pace, type PacedProxy } from './paced-proxy.ts';

const BODY = Buffer.alloc(400_000, 7);
let server: Server;
let proxy: PacedProxy;
beforeEach(async () => {
  server = createServer((_, response) => response.end(BODY));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterEach(async () => {
  await proxy.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

/** Milliseconds until the head of the answer, and until its end. */
async function ask(): Promise<{ head: number; end: number; bytes: number }> {
  const began = performance.now();
  return new Promise((resolve, reject) => {
    const request = get(proxy.endpoint, { agent: new Agent() }, (response) => {
      const head = performance.now() - began;
      let bytes = 0;
      response.on('data', (chunk: Buffer) => (bytes += chunk.length));
      response.on('end', () => resolve({ head, end: performance.now() - began, bytes }));
    });
    request.on('error', reject);
  });
}

async function askTwice(pace: Pace): Promise<{ head: number; end: number; bytes: number }[]> {
  proxy = await startPacedProxy((server.address() as AddressInfo).port, pace);
  return Promise.all([ask(), ask()]);
}

// The clock has only lower bounds here: a machine that is busy takes longer.

it('passes on what comes, without a pace', async () => {
  expect((await askTwice({})).map(({ bytes }) => bytes)).toEqual([BODY.length, BODY.length]);
  expect([proxy.connections(), proxy.most()]).toEqual([2, 2]);
});

it('paces each connection by itself, and the head of the answer is late', async () => {
  for (const { head, end, bytes } of await askTwice({ rate: 4e6, latencyMs: 30 })) {
    expect(bytes).toBe(BODY.length);
    expect(head).toBeGreaterThanOrEqual(29);
    expect(end).toBeGreaterThanOrEqual(29 + 70);
  }
});

it('paces one of them, or all together', async () => {
  const [fast, slow] = await askTwice({ rateOf: (n) => (n === 1 ? 4e6 : undefined) });
  expect(Math.max(fast!.end, slow!.end)).toBeGreaterThanOrEqual(70);
  await proxy.close();
  const together = await askTwice({ totalRate: 4e6 });
  expect(Math.max(...together.map(({ end }) => end))).toBeGreaterThanOrEqual(150);
});
