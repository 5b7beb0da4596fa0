/** Sends an answer over the real socket, with whatever fault was asked for on the way. */
import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Answer } from './exchange.ts';
import type { FaultEffect } from './faults.ts';
import { slices } from './storage.ts';

/** A fault cut or froze the connection: there is nobody left to answer. */
export class ConnectionFault extends Error {}

export function strike(request: IncomingMessage, effect: { type: 'reset' | 'stall' }): ConnectionFault {
  if (effect.type === 'reset') request.socket.destroy();
  return new ConnectionFault(effect.type);
}

/** Says what no server of HTTP would let anybody say. Resolves when the connection has ended. */
export async function babble(
  { socket }: IncomingMessage,
  { first, again, everyMs }: Extract<FaultEffect, { type: 'raw' }>,
): Promise<void> {
  socket.write(first);
  if (again === undefined) {
    socket.end();
    return;
  }
  while (!socket.destroyed) {
    const taken = socket.write(again);
    if (everyMs !== undefined) await sleep(everyMs);
    else if (!taken)
      await Promise.race([once(socket, 'drain'), once(socket, 'close')]).catch(() => undefined);
    else await sleep(0);
  }
}

/** The request's body as it arrives; a fault at `requestBytes` stops the reading there. */
export async function* incoming(
  request: IncomingMessage,
  effect: FaultEffect | undefined,
): AsyncGenerator<Buffer, void, undefined> {
  const fault = effect?.type === 'reset' || effect?.type === 'stall' ? effect : undefined;
  const limit = fault?.requestBytes;
  let read = 0;
  // Not destroyed on return: a refused request still gets its answer over this socket.
  for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
    read += chunk.length;
    if (fault !== undefined && limit !== undefined && read >= limit) {
      request.pause();
      throw strike(request, fault);
    }
    yield chunk;
  }
}

export async function respond(
  response: ServerResponse,
  answer: Answer,
  context: { request: IncomingMessage; effect: FaultEffect | undefined },
): Promise<void> {
  const { request, effect } = context;
  const { status, headers, chunks } = render(answer, effect);
  const bodyless = request.method === 'HEAD' || status === 204 || status === 304;
  const cut = effect?.type === 'reset' || effect?.type === 'stall' ? effect : undefined;
  const limit =
    cut?.responseBytes ?? (effect?.type === 'short-body' ? effect.bytes : Number.POSITIVE_INFINITY);

  response.writeHead(status, headers);
  if (bodyless) {
    response.end();
    return;
  }
  if (limit !== Number.POSITIVE_INFINITY) response.flushHeaders();
  let sent = 0;
  for (const chunk of chunks) {
    for (const piece of effect?.type === 'trickle' ? pieces(chunk, effect.bytes) : [chunk]) {
      const part = piece.subarray(0, limit - sent);
      await write(response, part);
      sent += part.length;
      if (sent >= limit) {
        if (cut !== undefined) throw strike(request, cut);
        request.socket.end();
        throw new ConnectionFault('short-body');
      }
      if (response.destroyed) return;
      if (effect?.type === 'trickle') await sleep(effect.everyMs);
    }
  }
  if (cut?.responseBytes !== undefined) throw strike(request, cut);
  response.end();
}

function render(
  answer: Answer,
  effect: FaultEffect | undefined,
): { status: number; headers: Record<string, string>; chunks: Iterable<Buffer> } {
  const headers: Record<string, string> = { ...answer.headers };
  const { body } = answer;
  if (body === undefined || typeof body === 'string') {
    const text = Buffer.from(body ?? '');
    if (body !== undefined) headers['content-length'] = String(text.length);
    else if (answer.status === 200 && headers['content-length'] === undefined)
      headers['content-length'] = '0';
    return {
      status: answer.status,
      headers: changed(headers, effect),
      chunks: text.length > 0 ? [text] : [],
    };
  }
  const cut = effect?.type === 'cut-body' ? effect.bytes : 0;
  const end = Math.max(body.end - cut, body.start);
  if (cut > 0) headers['content-length'] = String(end - body.start);
  const chunks = slices(body.chunks, body.start, end);
  return {
    status: answer.status,
    headers: changed(headers, effect),
    chunks: effect?.type === 'flip' ? flipped(chunks, effect.at - body.start) : chunks,
  };
}

function changed(headers: Record<string, string>, effect: FaultEffect | undefined): Record<string, string> {
  const replacements: Record<string, string | null> =
    effect?.type === 'headers'
      ? effect.headers
      : effect?.type === 'content-range'
        ? { 'content-range': effect.value }
        : {};
  const result = { ...headers };
  for (const [name, value] of Object.entries(replacements)) {
    if (value === null) delete result[name.toLowerCase()];
    else result[name.toLowerCase()] = value;
  }
  return result;
}

function* flipped(chunks: Iterable<Buffer>, at: number): Generator<Buffer> {
  let offset = 0;
  for (const chunk of chunks) {
    const index = at - offset;
    offset += chunk.length;
    if (index < 0 || index >= chunk.length) {
      yield chunk;
      continue;
    }
    const copy = Buffer.from(chunk);
    copy[index] = (copy[index] ?? 0) ^ 0x01;
    yield copy;
  }
}

function* pieces(chunk: Buffer, bytes: number): Generator<Buffer> {
  for (let offset = 0; offset < chunk.length; offset += bytes) yield chunk.subarray(offset, offset + bytes);
}

/** Resolves when the bytes have left for the kernel, so that a cut after N bytes is really after N; never rejects. */
function write(response: ServerResponse, data: Buffer): Promise<void> {
  if (data.length === 0 || response.destroyed) return Promise.resolve();
  return new Promise((resolve) => {
    const done = (): void => {
      response.off('close', done);
      resolve();
    };
    response.once('close', done);
    response.write(data, done);
  });
}
