/**
 * Sockets for the SDK: kept alive, through the proxy that `HTTPS_PROXY` names, trusting what `AWS_CA_BUNDLE`
 * adds. The SDK knows none of these variables. Plain-http endpoints (a MinIO next door) are never proxied.
 */
import type { Agent as HttpAgent } from 'node:http';
import type { Agent as HttpsAgent } from 'node:https';
import { rootCertificates } from 'node:tls';
import { CacheError } from '../../../errors.ts';
import { readError } from '../../../files/read-errors.ts';
import { readSmallText } from '../../../files/read-small-file.ts';
import { PlainAgent, TlsAgent } from './agents.ts';
import type { Patience } from './patience.ts';
import { TunnelAgent } from './tunnel.ts';

export interface TransportOptions {
  /** Proxy variables, as they are. */
  proxy?: { https: string | undefined; no: string | undefined } | undefined;
  /** The variable that names the proxy, for errors. */
  proxyName: string;
  /** A PEM file with more certificate authorities. */
  caBundle?: string | undefined;
  /** Limit for the proxy's answer, milliseconds. */
  connectTimeoutMs: number;
  patience: Patience;
}

export interface Transport {
  httpAgent: HttpAgent;
  httpsAgent: HttpsAgent;
}

/**
 * More than we ever have in flight: a request that queues for a socket would count as one that cannot
 * connect.
 */
const MAX_SOCKETS = 64;

/** @throws CacheError CONFIG_INVALID */
export function createTransport(options: TransportOptions): Transport {
  const ca = options.caBundle === undefined ? undefined : readAuthorities(options.caBundle);
  const agentOptions = { keepAlive: true, maxSockets: MAX_SOCKETS, ...(ca === undefined ? {} : { ca }) };
  const proxy = proxyUrl(options.proxy?.https, options.proxyName);
  const { connectTimeoutMs, patience } = options;
  return {
    httpAgent: new PlainAgent({ keepAlive: true, maxSockets: MAX_SOCKETS }, patience),
    httpsAgent:
      proxy === undefined
        ? new TlsAgent(agentOptions, patience)
        : new TunnelAgent(agentOptions, { proxy, noProxy: options.proxy?.no, connectTimeoutMs, patience }),
  };
}

const MAX_BUNDLE_BYTES = 16 * 1024 * 1024;

function readAuthorities(path: string): string[] {
  try {
    return [...rootCertificates, readSmallText(path, { maxBytes: MAX_BUNDLE_BYTES })];
  } catch (error) {
    throw new CacheError('CONFIG_INVALID', `AWS_CA_BUNDLE: ${path} ${readError(error)}`, {
      hint: 'It takes the path of a PEM file with certificates.',
      cause: error,
    });
  }
}

/** Sample values: `http://proxy:3128`, `proxy:3128`, `https://user:secret@proxy`. */
function proxyUrl(text: string | undefined, name: string): URL | undefined {
  if (text === undefined || text === '') return undefined;
  const full = text.includes('://') ? text : `http://${text}`;
  if (URL.canParse(full) && /^https?:/i.test(full)) return new URL(full);
  throw new CacheError('CONFIG_INVALID', `${name} is no usable address`, {
    hint: 'It takes http://host:port or https://host:port.',
  });
}
