import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';

export interface SlowProxy {
  endpoint: string;
  /** Clients connected now. */
  connections(): number;
  close(): Promise<void>;
}

/** Passes TCP on, but takes from the client only `bytes` every `everyMs`. Answers go back at full speed. */
export async function startSlowProxy(
  port: number,
  { bytes, everyMs }: { bytes: number; everyMs: number },
): Promise<SlowProxy> {
  const sockets = new Set<Socket>();
  let clients = 0;
  const server = createServer({ highWaterMark: bytes }, (client) => {
    const upstream = connect(port, '127.0.0.1');
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => [client, upstream].map((each) => each.destroy()));
    }
    clients += 1;
    client.on('close', () => (clients -= 1));
    upstream.pipe(client);
    void (async () => {
      for await (const chunk of client) {
        upstream.write(chunk as Buffer);
        await sleep(everyMs);
      }
    })().catch(() => {});
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => clients,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}
