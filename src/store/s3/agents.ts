/** Agents whose sockets read in place. */
import { Agent as HttpAgent, type ClientRequestArgs } from 'node:http';
import { Agent as HttpsAgent, type RequestOptions } from 'node:https';
import type { OnReadOpts } from 'node:net';
import type { Duplex } from 'node:stream';

export class PlainAgent extends HttpAgent {
  override createConnection(options: ClientRequestArgs, created?: Created): Duplex | null | undefined {
    return readingInPlace((onread) =>
      super.createConnection({ ...options, onread } as ClientRequestArgs, created),
    );
  }
}

export class TlsAgent extends HttpsAgent {
  override createConnection(options: RequestOptions, created?: Created): Duplex | null | undefined {
    return readingInPlace((onread) =>
      super.createConnection({ ...options, onread } as RequestOptions, created),
    );
  }
}

export type Created = (error: Error | null, socket: Duplex) => void;

/** What one read takes at most. */
const READ_BYTES = 256 * 1024;

/**
 * A socket that reads into the same memory again and again, where Node would take 64 KiB of fresh memory for each read: a twentieth of
 * a restore's time. The parser of http copies what it keeps.
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
