import { once } from 'node:events';
import { createServer as createHttpServer, get as httpGet, type IncomingMessage } from 'node:http';
import { createServer as createHttpsServer, get as httpsGet } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { rootCertificates } from 'node:tls';
import { describe, expect, it } from 'vitest';
import { createTransport } from '../../../../src/store/s3/connection/transport.ts';
import { createCertificate } from '../../../support/certificate.ts';
import { makeTemporaryFolder } from '../../../support/temporary.ts';

const BODY = randomBytes(6_000_000);

/** Every read of a socket goes to the same memory: what a body is made of must not be in it. */
describe.each(['http', 'https'] as const)('over %s', (scheme) => {
  it('a body keeps its bytes while the next ones come, on a connection that is used again', async () => {
    const identity = createCertificate();
    const folder = await makeTemporaryFolder('transport');
    const caBundle = join(folder.path, 'ca.pem');
    writeFileSync(caBundle, identity.certificate);
    const connections = new Set<unknown>();
    const answer = (request: IncomingMessage, response: NodeJS.WritableStream): void => {
      connections.add(request.socket);
      response.end(BODY);
    };
    const server =
      scheme === 'http'
        ? createHttpServer(answer)
        : createHttpsServer({ key: identity.key, cert: identity.certificate }, answer);
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { httpAgent, httpsAgent } = createTransport({
      caBundle,
      proxyName: 'HTTPS_PROXY',
      connectTimeoutMs: 5000,
      patience: { answerMs: 5000 },
    });
    const { port } = server.address() as AddressInfo;
    const url = `${scheme}://127.0.0.1:${port}/`;
    try {
      for (let round = 0; round < 3; round++) {
        const request =
          scheme === 'http' ? httpGet(url, { agent: httpAgent }) : httpsGet(url, { agent: httpsAgent });
        const [response] = (await once(request, 'response')) as [IncomingMessage];
        const chunks: Buffer[] = [];
        for await (const chunk of response as AsyncIterable<Buffer>) {
          chunks.push(chunk);
          // Behind the network, so that the socket is paused and goes on.
          if (chunks.length % 8 === 0) await turn();
        }
        expect(Buffer.concat(chunks).equals(BODY)).toBe(true);
        await turn();
      }
      expect(connections.size).toBe(1);
    } finally {
      httpAgent.destroy();
      httpsAgent.destroy();
      server.close();
      await folder.remove();
    }
  });
});

it('AWS_CA_BUNDLE adds to the authorities of the system: those of public services are trusted as before', async () => {
  const folder = await makeTemporaryFolder('transport');
  const caBundle = join(folder.path, 'ca.pem');
  const { certificate } = createCertificate();
  writeFileSync(caBundle, certificate);
  const { httpAgent, httpsAgent } = createTransport({
    caBundle,
    proxyName: 'HTTPS_PROXY',
    connectTimeoutMs: 5000,
    patience: { answerMs: 5000 },
  });
  expect(httpsAgent.options.ca).toEqual([...rootCertificates, certificate]);
  httpAgent.destroy();
  httpsAgent.destroy();
  await folder.remove();
});
