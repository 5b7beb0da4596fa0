/** The limit for the head of an answer, where the sockets' own limit on silence does not help. */
import { once } from 'node:events';
import { request as httpRequest, type ClientRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createTransport, type Transport } from '../../../../src/store/s3/connection/transport.ts';

let server: Server;
let transport: Transport;
let port: number;
const clients = new Set<Socket>();

beforeEach(async () => {
  server = createServer((socket) => clients.add(socket.on('error', () => {})));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  ({ port } = server.address() as AddressInfo);
  transport = createTransport({
    proxyName: 'HTTPS_PROXY',
    connectTimeoutMs: 60_000,
    patience: { answerMs: 300 },
  });
});
afterEach(async () => {
  transport.httpAgent.destroy();
  transport.httpsAgent.destroy();
  for (const client of clients) client.destroy();
  server.close();
  await once(server, 'close');
});

async function kindOf(request: ClientRequest): Promise<unknown> {
  const [error] = (await once(request, 'error').catch((thrown: unknown) => [thrown])) as [{ kind?: unknown }];
  return error.kind;
}

it('counts from the start, so that a handshake that hangs is within it', async () => {
  const request = httpsRequest({ host: '127.0.0.1', port, agent: transport.httpsAgent });
  request.end();
  expect(await kindOf(request)).toBe('stalled');
});

it('is over at once for interim answers without end, also while a body is on its way that nobody reads', async () => {
  server.on('connection', (socket) => {
    socket.pause();
    socket.write('HTTP/1.1 102 Processing\r\n\r\n'.repeat(100));
  });
  const request = httpRequest({ host: '127.0.0.1', port, method: 'PUT', agent: transport.httpAgent });
  // More than the kernel takes in.
  request.end(Buffer.alloc(64 * 1024 * 1024));
  expect(await kindOf(request)).toBe('stalled');
});

it('lets a slow body be: it begins when all of it is sent', async () => {
  server.on('connection', (socket) => socket.resume());
  const request = httpRequest({ host: '127.0.0.1', port, method: 'PUT', agent: transport.httpAgent });
  const sent: unknown[] = [];
  request.once('finish', () => sent.push('finish')).once('error', () => sent.push('error'));
  for (let piece = 0; piece < 6; piece++) {
    request.write('x');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  request.end();
  expect(await kindOf(request)).toBe('stalled');
  expect(sent).toEqual(['finish', 'error']);
});
