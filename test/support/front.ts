/**
 * What stands at the server's address and name: connections are relayed, until a test says that from now on somebody else answers
 * there, or that the name is gone. Nothing happens by the clock.
 */
import dns from 'node:dns';
import {
  connect,
  createServer as createTcpServer,
  type AddressInfo,
  type Server,
  type Socket,
} from 'node:net';
import { createServer as createTlsServer } from 'node:tls';
import { createCertificate } from './certificate.ts';

/**
 * - `stranger`: speaks TLS, with a certificate that nobody vouches for
 * - `no TLS`: answers in plain text
 * - `hangs up`: ends the connection when the handshake begins
 * - `garbles`: what it sends after the handshake is not what was encrypted
 */
export type Peer = 'stranger' | 'no TLS' | 'hangs up' | 'garbles';

export interface Front {
  /** `https://localhost:PORT` */
  readonly endpoint: string;
  /** Connections there are end as the peer would end them; the next `times` meet it, later ones the server. */
  meet(peer: Peer, times: number): void;
  /** Connections there are end. */
  cut(): void;
  /** The same, and the next `times` lookups of the name in this process fail. */
  loseName(times: number): void;
  close(): Promise<void>;
}

const NAME = 'localhost';
/** More than a TLS record holds: the end of it cannot be waited for. */
const GARBAGE = Buffer.alloc(40_000, 'no record of TLS ');

export async function startFront(serverPort: number): Promise<Front> {
  const stranger = createTlsServer(tlsOptions());
  const strangerPort = await listen(stranger);
  const clients = new Set<Socket>();
  let peer: Peer = 'stranger';
  let left = 0;

  const front = createTcpServer((client) => {
    clients.add(client.on('error', () => {}).on('close', () => clients.delete(client)));
    if (left === 0) return relay(client, serverPort);
    left--;
    switch (peer) {
      case 'stranger':
        return relay(client, strangerPort);
      case 'no TLS':
        client.once('data', () => client.end('HTTP/1.1 400 Bad Request\r\n\r\n'));
        return;
      case 'hangs up':
        client.once('data', () => client.destroy());
        return;
      case 'garbles':
        return garble(client, serverPort);
    }
  });
  const cut = (): void => clients.forEach((client) => client.destroy());
  const port = await listen(front);
  const name = leadName();

  return {
    endpoint: `https://${NAME}:${port}`,
    meet(next, times) {
      peer = next;
      left = times;
      for (const client of clients)
        if (next === 'garbles') client.write(GARBAGE);
        else client.destroy();
    },
    cut,
    loseName(times) {
      name.lose(times);
      cut();
    },
    async close() {
      name.restore();
      cut();
      await Promise.all([front, stranger].map((server) => new Promise((resolve) => server.close(resolve))));
    },
  };
}

function tlsOptions(): { key: string; cert: string } {
  const { key, certificate } = createCertificate();
  return { key, cert: certificate };
}

function relay(client: Socket, port: number): void {
  const server = connect(port, '127.0.0.1');
  server.on('error', () => {}).on('close', () => client.destroy());
  client.on('close', () => server.destroy());
  client.pipe(server).pipe(client);
}

/** Relays the greetings of both; what the client says once it has read the server's never arrives. */
function garble(client: Socket, port: number): void {
  const server = connect(port, '127.0.0.1');
  server.on('error', () => {});
  server.pipe(client, { end: false });
  client.on('close', () => server.destroy());
  client.once('data', (greeting) => {
    server.write(greeting);
    client.once('data', () => {
      server.unpipe(client).destroy();
      client.write(GARBAGE);
    });
  });
}

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return (server.address() as AddressInfo).port;
}

/** To this machine, whatever the resolver says. When it is lost, the resolver is asked for a name that there never is. */
function leadName(): { lose: (times: number) => void; restore: () => void } {
  const { lookup } = dns;
  let left = 0;
  const led = (name: string, ...rest: unknown[]): void => {
    if (name === NAME) name = left-- > 0 ? 'no-such-host.invalid' : '127.0.0.1';
    (lookup as unknown as (...args: unknown[]) => void)(name, ...rest);
  };
  dns.lookup = Object.assign(led, { __promisify__: lookup.__promisify__ });
  return { lose: (times) => (left = times), restore: () => (dns.lookup = lookup) };
}
