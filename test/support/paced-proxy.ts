/**
 * A network in front of a server: each connection carries so many bytes a second in each direction, and what a client
 * asks for reaches the server late. For tests and the bench. TCP is relayed as it is, so every S3 server can stand behind it.
 */
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';

export interface Pace {
  /** Bytes a second of one connection, in each direction. @default no limit */
  rate?: number;
  /** Bytes a second of all connections together, in each direction. @default no limit */
  totalRate?: number;
  /** How late what the client says arrives, milliseconds: the time to the first byte of an answer. @default 0 */
  latencyMs?: number;
  /** Another rate for a connection, by its number, counted from 0. @default `rate` for all */
  rateOf?: (connection: number) => number | undefined;
}

export interface PacedProxy {
  /** `http://127.0.0.1:PORT` */
  readonly endpoint: string;
  /** Connections so far. */
  connections(): number;
  /** The most that were open at a time. */
  most(): number;
  close(): Promise<void>;
}

/** Bytes are let through this often, milliseconds. */
const TICK_MS = 4;
/** What is taken from one side before the other has got it. */
const QUEUE_BYTES = 512 * 1024;

/** Relays to `port` on this machine. */
export async function startPacedProxy(port: number, pace: Pace = {}): Promise<PacedProxy> {
  const sockets = new Set<Socket>();
  const totals = { up: allowance(pace.totalRate), down: allowance(pace.totalRate) };
  let connections = 0;
  let open = 0;
  let most = 0;
  // Half open: a side that has said everything stays until the other has got it.
  const server = createServer({ noDelay: true, allowHalfOpen: true }, (client) => {
    const rate = pace.rateOf?.(connections) ?? pace.rate;
    connections += 1;
    open += 1;
    most = Math.max(most, open);
    const upstream = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        sockets.delete(socket);
        client.destroy();
        upstream.destroy();
      });
    }
    client.on('close', () => (open -= 1));
    relay(client, upstream, { limits: [allowance(rate), totals.up], latencyMs: pace.latencyMs ?? 0 });
    relay(upstream, client, { limits: [allowance(rate), totals.down], latencyMs: 0 });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    connections: () => connections,
    most: () => most,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

interface Allowance {
  /** Bytes that may go now. */
  now(): number;
  take(bytes: number): void;
  /** Nothing has waited to go until now: nothing was saved up meanwhile. */
  wake(): void;
}

/** A timer that was late is made up for. */
const LATE_MS = 25;

function allowance(rate: number | undefined): Allowance | undefined {
  if (rate === undefined) return undefined;
  const perMs = rate / 1000;
  let saved = 0;
  let last = performance.now();
  return {
    now() {
      const time = performance.now();
      saved = Math.min(Math.max(1, perMs * LATE_MS), saved + (time - last) * perMs);
      last = time;
      return Math.floor(saved);
    },
    take: (bytes) => (saved -= bytes),
    wake: () => (last = Math.max(last, performance.now() - TICK_MS)),
  };
}

function relay(
  from: Socket,
  to: Socket,
  { limits, latencyMs }: { limits: (Allowance | undefined)[]; latencyMs: number },
): void {
  const known = limits.filter((limit) => limit !== undefined);
  if (known.length === 0 && latencyMs === 0) {
    from.pipe(to);
    return;
  }
  const queue: { bytes: Buffer; due: number }[] = [];
  let queued = 0;
  let ended = false;
  let timer: NodeJS.Timeout | undefined;
  const go = (): void => {
    timer = undefined;
    for (let head = queue[0]; head !== undefined; head = queue[0]) {
      const wait = head.due - performance.now();
      if (wait > 0) return later(wait);
      const may = Math.min(head.bytes.length, ...known.map((limit) => limit.now()));
      if (may <= 0) return later(TICK_MS);
      for (const limit of known) limit.take(may);
      to.write(head.bytes.subarray(0, may));
      queued -= may;
      if (queued < QUEUE_BYTES) from.resume();
      head.bytes = head.bytes.subarray(may);
      if (head.bytes.length > 0) return later(TICK_MS);
      queue.shift();
    }
    if (ended) to.end();
  };
  const later = (ms: number): void => void (timer ??= setTimeout(go, ms));
  from.on('data', (bytes) => {
    queue.push({ bytes, due: performance.now() + latencyMs });
    queued += bytes.length;
    if (queued >= QUEUE_BYTES) from.pause();
    if (timer !== undefined) return;
    for (const limit of known) limit.wake();
    go();
  });
  from.on('end', () => {
    ended = true;
    if (timer === undefined) go();
  });
  to.on('close', () => clearTimeout(timer));
}
