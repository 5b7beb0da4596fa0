import type { ClientRequest } from 'node:http';
import { TransferError } from '../errors/classify.ts';

/**
 * How long the head of an answer may take, milliseconds. The connection changes it; requests that come later
 * go by it.
 */
export interface Patience {
  answerMs: number;
}

/**
 * A server may say that it works on a request (100, 102); one that says it without end is not going to
 * answer.
 */
const MAX_INTERIM_ANSWERS = 20;

/**
 * Ends a request whose answer does not begin. A limit on silence is not enough: each byte of a head that
 * never ends, and each interim answer, would count as progress. A request without a body has its whole limit
 * from the start, connection included; while a body is being sent, the limit on silence holds, and this one
 * begins after it.
 */
export function limitAnswer(request: ClientRequest, { answerMs }: Patience): void {
  let timer: NodeJS.Timeout | undefined;
  const stall = (): unknown =>
    request.destroy(new TransferError('stalled', `no answer within ${answerMs} ms`));
  const start = (): void => void (timer ??= setTimeout(stall, answerMs));
  const stop = (): void => {
    clearTimeout(timer);
    // An answer may come while the body is still being sent.
    request.off('finish', start);
  };
  if (BODILESS.has(request.method)) start();
  else request.once('finish', start);
  request.once('response', stop).once('close', stop);
  let interim = 0;
  request.on('information', () => {
    interim += 1;
    if (interim > MAX_INTERIM_ANSWERS) stall();
  });
}

const BODILESS = new Set(['GET', 'HEAD', 'DELETE']);
