/** What a connection is made of: what the caller gives, completed by the profile. */
import { CacheError } from '../../../errors.ts';
import type { Emit } from '../../../events.ts';
import type { ErrorContext, SettingNames } from '../errors/context.ts';
import { type ForeignFile, requireOrdinary } from './foreign-files.ts';
import type { Presigned } from './presigned.ts';
import { readProfile } from './profile.ts';

export interface ConnectionOptions {
  bucket: string;
  /** @default the profile's, else us-east-1 */
  region?: string | undefined;
  /** @default the profile's `endpoint_url`, else AWS */
  endpoint?: string | undefined;
  /** @default true with a custom endpoint */
  forcePathStyle?: boolean | undefined;
  accelerate: boolean;
  /** @default the SDK's whole chain */
  credentials?: { accessKeyId: string; secretAccessKey: string; sessionToken?: string } | undefined;
  /** Requests that were signed in advance, for a connection without credentials. @default none */
  presigned?: Presigned['urls'] | undefined;
  /** @default AWS_PROFILE, else `default` */
  profile?: string | undefined;
  /** Half a set of keys in the environment, for errors to name. @default none */
  halfSet?: ErrorContext['halfSet'];
  proxy?: { https: string | undefined; no: string | undefined } | undefined;
  /**
   * Where the endpoint, the region and the proxy came from, for hints.
   * @default the variable that would set each
   */
  names?: { [K in keyof SettingNames]?: string | undefined } | undefined;
  /** Path of a PEM file with more certificate authorities (`AWS_CA_BUNDLE`). */
  caBundle?: string | undefined;
  /** Files that the SDK or Node reads by itself. @default none are looked at */
  foreignFiles?: readonly ForeignFile[] | undefined;
  stallTimeoutMs: number;
  /** First wait before a retry; doubles each time. @default 100 */
  retryDelayMs?: number | undefined;
  emit: Emit;
}

export type Settings = ConnectionOptions & {
  region: string;
  endpoint: string | undefined;
  names: SettingNames;
};

/** @throws CacheError CONFIG_INVALID */
export async function completeSettings(options: ConnectionOptions): Promise<Settings> {
  requireOrdinary(options.foreignFiles ?? []);
  // A ticket says where it leads; this machine's own AWS set-up is nothing to it.
  const fromProfile = options.presigned === undefined ? await readProfile(options.profile) : {};
  if (fromProfile.tokenFile !== undefined)
    requireOrdinary([{ variable: 'web_identity_token_file', path: fromProfile.tokenFile }]);
  const profile = `the AWS profile "${options.profile ?? 'default'}"`;
  const region = options.region ?? fromProfile.region ?? 'us-east-1';
  const endpoint = options.endpoint ?? fromProfile.endpoint;
  const names = {
    endpoint: options.names?.endpoint ?? 'AWS_ENDPOINT_URL_S3',
    region: options.names?.region ?? 'AWS_REGION',
    proxy: options.names?.proxy ?? 'HTTPS_PROXY',
  };
  if (options.region === undefined && fromProfile.region !== undefined) names.region = `region of ${profile}`;
  if (options.endpoint === undefined && endpoint !== undefined) names.endpoint = `endpoint_url of ${profile}`;
  if (!isRegion(region)) {
    throw new CacheError('CONFIG_INVALID', `The ${names.region} is "${region}", which is no region`, {
      hint: 'It takes a name such as eu-central-1.',
    });
  }
  return { ...options, region, endpoint, names };
}

/** Whether it may become part of a host name, wherever it comes from. */
export function isRegion(text: string): boolean {
  return /^[a-z0-9-]+$/i.test(text);
}
