/** What the operations see of a request, and what they give back: no sockets, no faults, no signatures. */
import type { IncomingHttpHeaders } from 'node:http';
import type { ReceivedBody } from './body.ts';
import type { Storage, StoredBucket } from './storage.ts';

export type RefusedCondition = 'PreconditionFailed' | 'InvalidRequest';

export interface Exchange {
  storage: Storage;
  bucketName: string;
  key: string;
  query: URLSearchParams;
  headers: IncomingHttpHeaders;
  /** Where the server stands: new buckets without a LocationConstraint are made here. */
  region: string;
  minPartSize: number;
  /** How `If-Match` of a write or a deletion is refused for an object of several parts, whatever it says; undefined: it is not. */
  refusesPartsEtag: RefusedCondition | undefined;
  now: Date;
  /** The bucket of the request. @throws S3Error NoSuchBucket */
  bucket: () => StoredBucket;
  /** Whether the user may list: without it a missing key is a 403, as in S3. */
  mayList: boolean;
  /** Reads and checks the body; once. */
  body: () => Promise<ReceivedBody>;
}

export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string | AnswerSlice;
}

/** Part of an object: `end` is exclusive. */
export interface AnswerSlice {
  chunks: readonly Buffer[];
  start: number;
  end: number;
}

export function header(headers: IncomingHttpHeaders, name: string): string | undefined {
  const value = headers[name];
  return value === undefined ? undefined : String(value);
}

export function xmlAnswer(document: string, headers: Record<string, string> = {}): Answer {
  return { status: 200, headers: { 'content-type': 'application/xml', ...headers }, body: document };
}

export async function textBody(exchange: Exchange): Promise<string> {
  const { chunks } = await exchange.body();
  return Buffer.concat(chunks).toString('utf8');
}
