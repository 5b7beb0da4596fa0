/** Agents whose sockets read in place, and whose requests have a limit for the answer. */
import { Agent as HttpAgent, type AgentOptions, type ClientRequest, type ClientRequestArgs } from 'node:http';
import { Agent as HttpsAgent, type AgentOptions as TlsOptions, type RequestOptions } from 'node:https';
import type { OnReadOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import { limitAnswer, type Patience } from './patience.ts';

export class PlainAgent extends HttpAgent {
  readonly #patience: Patience;

  constructor(options: AgentOptions, patience: Patience) {
    super(options);
    this.#patience = patience;
  }

  addRequest(request: ClientRequest, options: unknown): void {
    (HttpAgent.prototype as unknown as TakesRequests).addRequest.call(this, request, options);
    limitAnswer(request, this.#patience);
  }

  override createConnection(options: ClientRequestArgs, created?: Created): Duplex | null | undefined {
    return readingInPlace((onread) =>
      super.createConnection({ ...options, onread } as ClientRequestArgs, created),
    );
  }
}

export class TlsAgent extends HttpsAgent {
  readonly #patience: Patience;

  constructor(options: TlsOptions, patience: Patience) {
    super(options);
    this.#patience = patience;
  }

  addRequest(request: ClientRequest, options: unknown): void {
    (HttpsAgent.prototype as unknown as TakesRequests).addRequest.call(this, request, options);
    limitAnswer(request, this.#patience);
  }

  override createConnection(options: RequestOptions, created?: Created): Duplex | null | undefined {
    return readingInPlace((onread) =>
      super.createConnection({ ...options, onread } as RequestOptions, created),
    );
  }
}

/**
 * Node calls it with every request, and the agents of other packages build on it, though it is in no
 * documentation.
 */
interface TakesRequests {
  addRequest(request: ClientRequest, options: unknown): void;
}

export type Created = (error: Error | null, socket: Duplex) => void;

/** What one read takes at most. */
const READ_BYTES = 256 * 1024;

/**
 * A socket that reads into the same memory again and again, where Node would take 64 KiB of fresh memory for
 * each read: a twentieth of a restore's time. The parser of http copies what it keeps.
 */
function readingInPlace(open: (onread: OnReadOpts) => Duplex | null | undefined): Duplex | null | undefined {
  const buffer = Buffer.allocUnsafeSlow(READ_BYTES);
  const socket = open({
    buffer,
    callback(length) {
      socket?.emit('data', buffer.subarray(0, length));
      return true;
    },
  });
  return socket;
}
