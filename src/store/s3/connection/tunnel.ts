/**
 * An agent that opens each TLS connection inside a tunnel made by a proxy (CONNECT, RFC 9110 section 9.3.6).
 */
import { request as httpRequest } from 'node:http';
import { request as httpsRequest, type AgentOptions, type RequestOptions } from 'node:https';
import { isIP } from 'node:net';
import type { Duplex } from 'node:stream';
import { connect as connectTls } from 'node:tls';
import { TlsAgent, type Created } from './agents.ts';
import { bypassesProxy } from './no-proxy.ts';
import type { Patience } from './patience.ts';

export interface TunnelOptions {
  proxy: URL;
  noProxy: string | undefined;
  connectTimeoutMs: number;
  patience: Patience;
}

export class TunnelAgent extends TlsAgent {
  readonly #tunnel: TunnelOptions;

  constructor(options: AgentOptions, tunnel: TunnelOptions) {
    super(options, tunnel.patience);
    this.#tunnel = tunnel;
  }

  override createConnection(options: RequestOptions, created?: Created): Duplex | null | undefined {
    const host = options.host ?? 'localhost';
    if (created === undefined || bypassesProxy(host, this.#tunnel.noProxy))
      return super.createConnection(options, created);
    const done = created as (error: Error | null, socket?: Duplex) => void;
    openTunnel(this.#tunnel, `${isIP(host) === 6 ? `[${host}]` : host}:${options.port ?? 443}`).then(
      (socket) =>
        done(null, connectTls({ ...(options as object), socket, servername: isIP(host) === 0 ? host : '' })),
      (error: Error) => done(error),
    );
    return undefined;
  }
}

function openTunnel({ proxy, connectTimeoutMs }: TunnelOptions, target: string): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const open = proxy.protocol === 'https:' ? httpsRequest : httpRequest;
    const request = open({
      host: proxy.hostname.replace(/^\[|\]$/g, ''),
      port: proxy.port === '' ? (proxy.protocol === 'https:' ? 443 : 80) : Number(proxy.port),
      method: 'CONNECT',
      path: target,
      headers: { host: target, ...authorization(proxy) },
      agent: false,
      timeout: connectTimeoutMs,
    });
    const refuse = (why: string): void => {
      request.destroy();
      reject(Object.assign(new Error(`The proxy ${proxy.host} ${why}`), { code: 'PROXY_REFUSED' }));
    };
    request.once('connect', (response, socket) => {
      if (response.statusCode === 200) resolve(socket.setTimeout(0));
      else refuse(`answered ${response.statusCode} to CONNECT ${target}`);
    });
    request.once('timeout', () => refuse(`did not answer within ${connectTimeoutMs / 1000} s`));
    request.once('error', (error: NodeJS.ErrnoException) =>
      refuse(`cannot be used (${error.code ?? error.message})`),
    );
    request.end();
  });
}

function authorization(proxy: URL): Record<string, string> {
  if (proxy.username === '') return {};
  const pair = `${decodeURIComponent(proxy.username)}:${decodeURIComponent(proxy.password)}`;
  return { 'proxy-authorization': `Basic ${Buffer.from(pair).toString('base64')}` };
}
