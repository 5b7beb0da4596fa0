/** Stands in front of a real S3 server and makes what it stores older: no server lets a test date an object back. */
import { createServer, request, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface AgingProxy {
  /** `http://127.0.0.1:PORT` */
  endpoint: string;
  /** Requests of a kind that came through: `PUT` with `x-amz-copy-source`, and what became of them. */
  copies: { headers: IncomingMessage['headers']; status: number }[];
  /** Awaited before a copy goes on. */
  beforeCopy: (() => Promise<void>) | undefined;
  close(): Promise<void>;
}

/** @param days what is taken off every `Last-Modified` */
export async function startAgingProxy(endpoint: string, days: number): Promise<AgingProxy> {
  const { hostname, port } = new URL(endpoint);
  const server = createServer((incoming, outgoing) => {
    const { method, url: path, headers } = incoming;
    const isCopy = headers['x-amz-copy-source'] !== undefined;
    const pass = (): void => {
      const onward = request({ hostname, port, method, path, headers }, (answer) => {
        if (isCopy) proxy.copies.push({ headers, status: answer.statusCode ?? 0 });
        outgoing.writeHead(answer.statusCode ?? 502, aged(answer.headers, days));
        answer.pipe(outgoing);
      });
      onward.on('error', () => outgoing.destroy());
      outgoing.on('close', () => onward.destroy());
      incoming.pipe(onward);
    };
    if (isCopy && proxy.beforeCopy !== undefined) proxy.beforeCopy().then(pass, () => outgoing.destroy());
    else pass();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const proxy: AgingProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    copies: [],
    beforeCopy: undefined,
    async close() {
      await new Promise((resolve) => {
        server.close(resolve);
        server.closeAllConnections();
      });
    },
  };
  return proxy;
}

function aged(headers: IncomingMessage['headers'], days: number): IncomingMessage['headers'] {
  const modified = headers['last-modified'];
  if (modified === undefined) return headers;
  return {
    ...headers,
    'last-modified': new Date(Date.parse(modified) - days * 24 * 60 * 60 * 1000).toUTCString(),
  };
}
