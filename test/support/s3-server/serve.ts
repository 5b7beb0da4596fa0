/** One request from its arrival to its answer: which operation, which fault, whose signature, what comes back. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseAddress } from './address.ts';
import type { Address } from './address.ts';
import { receiveBody } from './body.ts';
import type { ReceivedBody } from './body.ts';
import { s3Error, S3Error } from './errors.ts';
import { xmlAnswer } from './exchange.ts';
import type { Answer, Exchange, RefusedCondition } from './exchange.ts';
import type { FaultEffect, Faults, LoggedRequest } from './faults.ts';
import { findOperation } from './operations.ts';
import type { Operation } from './operations.ts';
import { babble, ConnectionFault, incoming, respond, strike } from './respond.ts';
import { authenticate } from './signature.ts';
import type { Authentication, S3User } from './signature.ts';
import { bucketNamed } from './storage.ts';
import type { Storage } from './storage.ts';

/** What all requests to one server share. */
export interface ServerState {
  readonly region: string;
  readonly users: S3User[];
  readonly storage: Storage;
  readonly faults: Faults;
  readonly requests: LoggedRequest[];
  readonly minPartSize: number;
  readonly clockOffsetMs: number;
  readonly refusesPartsEtag: RefusedCondition | undefined;
}

export async function serve(
  state: ServerState,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  request.on('error', () => undefined);
  response.on('error', () => undefined);
  const index = state.requests.length;
  const [rawPath = '/', rawQuery = ''] = (request.url ?? '/').split(/\?(.*)/s);
  const query = new URLSearchParams(rawQuery.replace(/\+/g, '%2B'));
  const method = request.method ?? '';
  const address = parseAddress(request.headers.host ?? '', rawPath);
  const isCopy = request.headers['x-amz-copy-source'] !== undefined;
  const operation = findOperation({ method, bucket: address.bucket, key: address.key, query, isCopy });
  const logged = logEntry(request, { index, address, query, operation });
  state.requests.push(logged);
  const effect = state.faults.take(logged);
  const requestId = `TEST${String(index).padStart(12, '0')}`;
  try {
    let answer: Answer;
    try {
      answer = await answerCall(state, { request, response, rawPath, address, operation, logged, effect });
    } catch (error) {
      if (!(error instanceof S3Error)) throw error;
      answer = errorAnswer(error, rawPath, requestId);
    }
    logged.status = answer.status;
    // Whoever answers with a page is not S3, and says nothing that S3 says.
    if (effect?.type !== 'html') {
      answer.headers = {
        'x-amz-request-id': requestId,
        'x-amz-id-2': `id2-${index}`,
        date: serverTime(state).toUTCString(),
        server: 'AmazonS3',
        ...answer.headers,
      };
    }
    await drain(request);
    await respond(response, answer, { request, effect });
  } catch (error) {
    if (error instanceof ConnectionFault || request.socket.destroyed) return;
    request.socket.destroy(error instanceof Error ? error : undefined);
    throw error;
  }
}

async function answerCall(state: ServerState, call: Call): Promise<Answer> {
  const { request, effect, logged } = call;
  const early = await applyEarly(request, logged, effect);
  if (early !== undefined) return early;
  const authentication = authenticate(
    { method: logged.method, rawPath: call.rawPath, query: logged.query, headers: request.headers },
    state.users,
    serverTime(state),
  );
  logged.accessKeyId = authentication.user.accessKeyId;
  checkRegion(state, call, authentication);
  if (authentication.user.deny?.(call.operation.name)) throw s3Error('AccessDenied');
  const answer = await call.operation.run(exchangeFor(state, call, authentication));
  if ((effect?.type === 'reset' || effect?.type === 'stall') && effect.answered)
    throw strike(request, effect);
  return answer;
}

function exchangeFor(state: ServerState, call: Call, authentication: Authentication): Exchange {
  const { request, response, effect, address, logged } = call;
  let body: Promise<ReceivedBody> | undefined;
  return {
    storage: state.storage,
    bucketName: address.bucket,
    key: address.key,
    query: logged.query,
    headers: withoutIgnored(request.headers, effect),
    region: state.region,
    minPartSize: state.minPartSize,
    refusesPartsEtag: state.refusesPartsEtag,
    now: serverTime(state),
    bucket: () => bucketNamed(state.storage, address.bucket),
    mayList: !authentication.user.deny?.('ListObjectsV2'),
    body: () => {
      if (body === undefined && request.headers.expect !== undefined) response.writeContinue();
      body ??= receiveBody(incoming(request, effect), request.headers, authentication);
      return body;
    },
  };
}

/** A bucket answers only in its own region: 301 where the host names another, 400 where only the signature does. */
function checkRegion(state: ServerState, { address, operation }: Call, { region }: Authentication): void {
  const bucket = state.storage.get(address.bucket);
  const home = bucket?.region ?? state.region;
  const headers = { 'x-amz-bucket-region': home };
  if (operation.name === 'GetBucketLocation' || operation.name === 'CreateBucket') return;
  if (bucket !== undefined && address.hostRegion !== undefined && address.hostRegion !== home) {
    const Endpoint = `${bucket.name}.s3.${home}.amazonaws.com`;
    throw s3Error('PermanentRedirect', { headers, elements: { Endpoint, Bucket: bucket.name } });
  }
  if (region === home) return;
  throw s3Error('AuthorizationHeaderMalformed', {
    message: `The authorization header is malformed; the region '${region}' is wrong; expecting '${home}'`,
    headers: bucket === undefined ? {} : headers,
    elements: { Region: home },
  });
}

interface Call {
  request: IncomingMessage;
  response: ServerResponse;
  rawPath: string;
  address: Address;
  operation: Operation;
  logged: LoggedRequest;
  effect: FaultEffect | undefined;
}

/** The effects that come before the request is looked at; an answer when it is never carried out. */
async function applyEarly(
  request: IncomingMessage,
  logged: LoggedRequest,
  effect: FaultEffect | undefined,
): Promise<Answer | undefined> {
  switch (effect?.type) {
    case 'reset':
    case 'stall': {
      const later = effect.answered ?? effect.requestBytes ?? effect.responseBytes;
      if (later === undefined) throw strike(request, effect);
      return undefined;
    }
    case 'document':
      return xmlAnswer(effect.make());
    case 'raw':
      await babble(request, effect);
      throw new ConnectionFault('raw');
    case 'delay':
      await sleep(effect.ms);
      return undefined;
    case 'before':
      await effect.run(logged);
      return undefined;
    case 'error':
      throw new S3Error(effect.status, effect.code, effect);
    case 'error-in-200':
      return { ...errorAnswer(new S3Error(500, effect.code, effect), '/', 'TEST'), status: 200 };
    case 'html':
      return {
        status: effect.status,
        headers: { 'content-type': 'text/html' },
        body:
          effect.html ??
          '<!doctype html><html><head><title>Welcome</title></head><body><h1>It works</h1></body></html>',
      };
    default:
      return undefined;
  }
}

function serverTime({ clockOffsetMs }: ServerState): Date {
  return new Date(Date.now() + clockOffsetMs);
}

function withoutIgnored(
  headers: IncomingMessage['headers'],
  effect: FaultEffect | undefined,
): IncomingMessage['headers'] {
  const kept = { ...headers };
  if (effect?.type === 'ignore-range') delete kept.range;
  if (effect?.type === 'ignore-conditions') {
    delete kept['if-match'];
    delete kept['if-none-match'];
    delete kept['x-amz-copy-source-if-match'];
  }
  return kept;
}

function errorAnswer(error: S3Error, resource: string, requestId: string): Answer {
  return {
    status: error.status,
    headers: { 'content-type': 'application/xml', ...error.headers },
    body: error.document(resource, requestId),
  };
}

function logEntry(
  request: IncomingMessage,
  parts: { index: number; address: Address; query: URLSearchParams; operation: Operation },
): LoggedRequest {
  const headers: Record<string, string> = {};
  for (const [name, value] of Object.entries(request.headers)) headers[name] = String(value);
  return {
    index: parts.index,
    method: request.method ?? '',
    operation: parts.operation.name,
    bucket: parts.address.bucket,
    key: parts.address.key,
    query: parts.query,
    headers,
    range: headers.range,
    accessKeyId: undefined,
    status: undefined,
  };
}

/** Lets the rest of a refused body run off: answering while a client still writes would reset the connection under it. */
async function drain(request: IncomingMessage): Promise<void> {
  if (request.headers.expect !== undefined && !request.readableDidRead) return;
  if (request.readableEnded || request.destroyed) return;
  await new Promise<void>((resolve) => {
    request
      .once('end', resolve)
      .once('close', resolve)
      .once('error', () => resolve());
    request.resume();
  });
}
