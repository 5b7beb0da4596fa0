import { join } from 'node:path';
import { homeOf } from '../files/home.ts';
import type { Ticket } from '../ticket.ts';
import { ENV_FILE } from './env-file.ts';
import { firstSet, type Setting, type Sources } from './sources.ts';
import { boolean, invalid, oneOf, type Variables } from './values.ts';

export interface S3Config {
  readonly bucket: string;
  /** The ticket that allows reading without credentials; undefined: credentials are used. */
  readonly ticket: Ticket | undefined;
  /** Undefined: the profile's, else us-east-1. */
  readonly region: string | undefined;
  readonly endpoint: string | undefined;
  /** Undefined: path style with a custom endpoint. */
  readonly forcePathStyle: boolean | undefined;
  readonly accelerate: boolean;
  readonly sse: 'AES256' | 'aws:kms' | 'aws:kms:dsse' | undefined;
  readonly kmsKeyId: string | undefined;
  /** Only credentials of `.env.claude-sandbox`; the SDK finds all others itself. */
  readonly credentials:
    | { readonly accessKeyId: string; readonly secretAccessKey: string; readonly sessionToken?: string }
    | undefined;
  readonly profile: string | undefined;
  /**
   * Half a set of keys in the environment. The SDK ignores it, and errors about credentials have to say so.
   */
  readonly halfSet: { readonly given: string; readonly missing: string } | undefined;
  /** Proxy variables, as they are. */
  readonly proxy: {
    readonly https: string | undefined;
    readonly no: string | undefined;
  };
  /** A file with more certificate authorities, PEM (`AWS_CA_BUNDLE`). */
  readonly caBundle: string | undefined;
  /**
   * Files that the SDK or Node reads by itself, with the variable that names each. They need not be there.
   */
  readonly foreignFiles: readonly { readonly variable: string; readonly path: string }[];
  /** The variables that the values came from, for hints to name. */
  readonly names: {
    readonly endpoint: string | undefined;
    readonly region: string | undefined;
    readonly proxy: string | undefined;
  };
}

/** Names for the same thing, the one that wins first. */
export const ALIASES = {
  endpoint: ['AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL'],
  region: ['AWS_REGION', 'AWS_DEFAULT_REGION'],
  proxy: ['HTTPS_PROXY', 'https_proxy'],
  noProxy: ['NO_PROXY', 'no_proxy'],
} as const;

const CREDENTIAL_VARIABLES = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
];

type S3Choices = Pick<S3Config, 'forcePathStyle' | 'accelerate' | 'sse' | 'kmsKeyId'>;

export function s3Choices(env: Variables): S3Choices {
  const forced = 'CACHE_S3_FORCE_PATH_STYLE' in env;
  return {
    forcePathStyle: forced ? boolean(env, 'CACHE_S3_FORCE_PATH_STYLE', true) : undefined,
    accelerate: boolean(env, 'CACHE_S3_ACCELERATE', false),
    sse: oneOf(env, 'CACHE_S3_SSE', ['AES256', 'aws:kms', 'aws:kms:dsse']),
    kmsKeyId: env['CACHE_S3_KMS_KEY_ID'],
  };
}

export function s3Config(env: Variables, sources: Sources, choices: S3Choices): S3Config {
  const { real, file } = sources;
  const bucket = env['CACHE_S3_BUCKET']!;
  if (!isBucketName(bucket)) {
    throw invalid('CACHE_S3_BUCKET', `CACHE_S3_BUCKET is "${bucket}", which is no bucket name`, {
      hint: bucket.startsWith('s3://')
        ? 'Give the name alone, without s3://; a path goes into CACHE_S3_PREFIX.'
        : 'It takes a bucket name: 3 to 63 lower-case letters, digits, dots and hyphens.',
    });
  }
  // Credentials are one set: a key id from one place with a secret from another never makes a valid
  // signature.
  const fromFile = !CREDENTIAL_VARIABLES.some((name) => name in real);
  return {
    bucket,
    ticket: undefined,
    region: region(sources),
    endpoint: endpoint(sources)?.value,
    ...choices,
    credentials: fromFile ? fileCredentials(file.values) : undefined,
    profile: (fromFile ? file.values : real)['AWS_PROFILE'],
    halfSet: halfSet(real),
    ...network(env, sources),
    foreignFiles: foreignFiles(real),
    names: {
      endpoint: endpoint(sources)?.name,
      region: firstSet(sources, ...ALIASES.region)?.name,
      proxy: firstSet(sources, ...ALIASES.proxy)?.name,
    },
  };
}

/** Accepts more than S3 allows today: old buckets may have capitals and up to 255 characters. */
export function isBucketName(text: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]$/.test(text);
}

/** The bucket is reached as the ticket says. Of the AWS settings only those about the network count. */
export function ticketConfig(
  env: Variables,
  sources: Sources,
  { ticket, choices }: { ticket: Ticket; choices: S3Choices },
): S3Config {
  return {
    bucket: ticket.bucket,
    ticket,
    region: 'us-east-1',
    endpoint: ticket.origin,
    ...choices,
    forcePathStyle: true,
    accelerate: false,
    credentials: undefined,
    profile: undefined,
    halfSet: undefined,
    ...network(env, sources),
    foreignFiles: foreignFiles(sources.real).filter(({ variable }) => variable === 'NODE_EXTRA_CA_CERTS'),
    names: {
      endpoint: 'CACHE_TICKET',
      region: 'CACHE_TICKET',
      proxy: firstSet(sources, ...ALIASES.proxy)?.name,
    },
  };
}

function network(env: Variables, sources: Sources): Pick<S3Config, 'proxy' | 'caBundle'> {
  return {
    proxy: {
      https: firstSet(sources, ...ALIASES.proxy)?.value,
      no: firstSet(sources, ...ALIASES.noProxy)?.value,
    },
    caBundle: env['AWS_CA_BUNDLE'],
  };
}

function region(sources: Sources): string | undefined {
  const { name, value } = firstSet(sources, ...ALIASES.region) ?? {};
  if (value === undefined || /^[a-z0-9-]+$/i.test(value)) return value;
  throw invalid(name, `${name} is "${value}", which is no region`, {
    hint: 'It takes a name such as eu-central-1.',
  });
}

function halfSet(real: Variables): S3Config['halfSet'] {
  // With a profile the SDK does not look at keys.
  if ('AWS_PROFILE' in real) return undefined;
  const keys = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'];
  const given = [...keys, 'AWS_SESSION_TOKEN'].find((name) => name in real);
  const missing = keys.filter((name) => !(name in real)).join(' and ');
  return given === undefined || missing === '' ? undefined : { given, missing };
}

function fileCredentials(file: Variables): S3Config['credentials'] {
  const accessKeyId = file['AWS_ACCESS_KEY_ID'];
  const secretAccessKey = file['AWS_SECRET_ACCESS_KEY'];
  const sessionToken = file['AWS_SESSION_TOKEN'];
  if (accessKeyId === undefined && secretAccessKey === undefined) return undefined;
  if (accessKeyId === undefined || secretAccessKey === undefined) {
    const missing = accessKeyId === undefined ? 'AWS_ACCESS_KEY_ID' : 'AWS_SECRET_ACCESS_KEY';
    const given = accessKeyId === undefined ? 'AWS_SECRET_ACCESS_KEY' : 'AWS_ACCESS_KEY_ID';
    throw invalid(given, `${ENV_FILE} has half a set of credentials: ${missing} is missing`, {
      hint: `Set ${missing} in ${ENV_FILE}, or take both out of it.`,
    });
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) };
}

/** The endpoint that is used. If the file says that endpoints are ignored, this only applies to its own. */
export function endpoint(sources: Sources): Setting | undefined {
  const { real, file } = sources;
  if (ignoresEndpoints(real)) return undefined;
  const found = firstSet(sources, ...ALIASES.endpoint);
  if (found === undefined || (found.from === 'file' && ignoresEndpoints(file.values))) return undefined;
  const { name, value } = found;
  if (/^https?:\/\//i.test(value) && URL.canParse(value)) return found;
  const shown = value.replace(/^.*@/, '[redacted]@');
  throw invalid(name, `${name} is "${shown}", which is no URL`, {
    hint: `It takes a whole URL, e.g. ${name}=https://${shown.replace(/^.*(:\/\/|@)/, '')}`,
  });
}

function ignoresEndpoints(variables: Variables): boolean {
  return boolean(variables, 'AWS_IGNORE_CONFIGURED_ENDPOINT_URLS', false);
}

function foreignFiles(real: Variables): S3Config['foreignFiles'] {
  const folder = join(homeOf(real), '.aws');
  const paths: Record<string, string | undefined> = {
    AWS_CONFIG_FILE: real['AWS_CONFIG_FILE'] ?? join(folder, 'config'),
    AWS_SHARED_CREDENTIALS_FILE: real['AWS_SHARED_CREDENTIALS_FILE'] ?? join(folder, 'credentials'),
    AWS_WEB_IDENTITY_TOKEN_FILE: real['AWS_WEB_IDENTITY_TOKEN_FILE'],
    AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: real['AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE'],
    NODE_EXTRA_CA_CERTS: real['NODE_EXTRA_CA_CERTS'],
  };
  return Object.entries(paths).flatMap(([variable, path]) =>
    path === undefined ? [] : [{ variable, path }],
  );
}
