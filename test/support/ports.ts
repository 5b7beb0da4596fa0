import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

/** Ports on loopback that nobody listens on now; all different, because all are held until the last is found. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = await Promise.all(
    Array.from({ length: count }, async () => {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject).listen(0, '127.0.0.1', resolve);
      });
      return server;
    }),
  );
  const ports = servers.map((server) => (server.address() as AddressInfo).port);
  await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
  return ports;
}

/** Waits until something accepts connections; `alive` is asked in between and ends the wait by throwing. */
export async function waitForPort(
  port: number,
  options: { deadlineMs: number; alive: () => void },
): Promise<void> {
  const end = Date.now() + options.deadlineMs;
  while (!(await accepts(port))) {
    options.alive();
    if (Date.now() > end) throw new Error(`nothing listens on port ${port} after ${options.deadlineMs} ms`);
    await sleep(25);
  }
}

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
