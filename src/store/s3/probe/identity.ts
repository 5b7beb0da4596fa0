/** Whose the credentials are, by STS GetCallerIdentity, which needs no right; and when they end. */
import type { Readable } from 'node:stream';
import { withinTime } from '../../../async/abort.ts';
import { connect, type Connection } from '../connection/connection.ts';
import type { ConnectionOptions } from '../connection/settings.ts';
import { type Keys, signQuery } from './sign-query.ts';

/** For the credentials, and once more for STS. */
const LIMIT_MS = 2000;
/** An answer has some 500 bytes. */
const MAX_ANSWER = 16_384;

export interface Identity {
  /** `arn:aws:sts::123456789012:assumed-role/ci/job`; undefined: nobody could be asked, or they did not say. */
  arn: string | undefined;
  /** Undefined: never, or whatever they come from does not say. */
  expires: Date | undefined;
}

/**
 * @param stsEndpoint where STS is, if not at AWS. Other services than AWS are not asked without one.
 * @returns undefined if there are no credentials, or not in time: the first request says why
 */
export async function askIdentity(
  options: ConnectionOptions,
  stsEndpoint: string | undefined,
): Promise<Identity | undefined> {
  const connection = await connect(options);
  try {
    const keys = await orUndefined(connection.client.config.credentials());
    if (keys === undefined) return undefined;
    const place = stsEndpoint ?? (connection.custom ? undefined : awsPlace(connection));
    const arn = place === undefined ? undefined : await orUndefined(callerOf(connection, keys, place));
    return { arn, expires: keys.expiration };
  } finally {
    connection.close();
  }
}

function awsPlace(connection: Connection): string {
  const region = regionOf(connection);
  return `https://sts.${region}.amazonaws.com${region.startsWith('cn-') ? '.cn' : ''}`;
}

/** Through the client's own transport, so that proxies and private certificates count here too. */
async function callerOf(connection: Connection, keys: Keys, place: string): Promise<string | undefined> {
  const { protocol, hostname, host, port } = new URL(place);
  const query = 'Action=GetCallerIdentity&Version=2011-06-15';
  const region = regionOf(connection);
  const headers = signQuery({ host, query, region, service: 'sts', at: new Date(connection.now()) }, keys);
  const { requestHandler } = connection.client.config;
  const request = {
    method: 'GET',
    protocol,
    hostname,
    ...(port === '' ? {} : { port: Number(port) }),
    path: '/',
    query: Object.fromEntries(new URLSearchParams(query)),
    headers,
  };
  const { response } = await requestHandler.handle(
    request as unknown as Parameters<typeof requestHandler.handle>[0],
  );
  let text = '';
  for await (const chunk of response.body as Readable) {
    text += String(chunk);
    if (text.length > MAX_ANSWER) return undefined;
  }
  // Nothing else may come into what is printed.
  return response.statusCode === 200 ? /<Arn>(arn:[\w:/+=,.@-]{1,2048})<\/Arn>/.exec(text)?.[1] : undefined;
}

function regionOf(connection: Connection): string {
  return connection.context({ action: '', key: '' }).region;
}

/** Whoever does not answer, or not in time, has nothing to say here. */
async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  return withinTime(
    promise.catch(() => undefined),
    LIMIT_MS,
  );
}
