/** What to type when the store cannot be reached or refuses these credentials at all. */
import type { S3Config } from '../../config/s3.ts';
import type { CacheError } from '../../errors.ts';
import { ask, askSecretly } from '../mend.ts';

/** @returns a line to type, or undefined where only a person can know */
export function mendFor(error: CacheError, s3: S3Config, clockAheadMs: number): string | undefined {
  const endpoint = s3.names.endpoint ?? 'AWS_ENDPOINT_URL_S3';
  switch (error.code) {
    case 'STORE_NO_CREDENTIALS':
      return `${ask('AWS_ACCESS_KEY_ID')} && ${askSecretly('AWS_SECRET_ACCESS_KEY')}`;
    case 'STORE_BAD_CREDENTIALS':
      return credentialMend(error, s3, clockAheadMs);
    case 'STORE_NO_BUCKET':
      return 'sandbox-cache setup';
    case 'STORE_WRONG_REGION':
      return ask(s3.names.region ?? 'AWS_REGION');
    case 'STORE_TLS':
      return error.message.includes('does not speak TLS') && s3.endpoint !== undefined
        ? `export ${endpoint}=${s3.endpoint.replace(/^https:/i, 'http:')}`
        : ask('AWS_CA_BUNDLE');
    case 'STORE_UNREACHABLE':
      if (error.message.startsWith('The proxy')) return bypassProxy(s3);
      return s3.endpoint === undefined ? ask(s3.names.region ?? 'AWS_REGION') : ask(endpoint);
    case 'STORE_NOT_S3':
      return ask(endpoint);
    default:
      return undefined;
  }
}

function credentialMend(error: CacheError, s3: S3Config, clockAheadMs: number): string {
  const code = error.cause instanceof Error ? error.cause.name : '';
  if (code === 'RequestTimeTooSkewed' || code === 'RequestExpired') return setClock(clockAheadMs);
  if (s3.credentials !== undefined) return '${EDITOR:-vi} .env.claude-sandbox';
  if (s3.profile !== undefined) return `aws sso login --profile ${s3.profile}`;
  if (code === 'SignatureDoesNotMatch') return askSecretly('AWS_SECRET_ACCESS_KEY');
  if (code === 'InvalidToken' || code === 'UnrecognizedClientException')
    return askSecretly('AWS_SESSION_TOKEN');
  const keys = `${ask('AWS_ACCESS_KEY_ID')} && ${askSecretly('AWS_SECRET_ACCESS_KEY')}`;
  return code.startsWith('ExpiredToken') ? `${keys} && ${askSecretly('AWS_SESSION_TOKEN')}` : keys;
}

/** GNU `date` reads a number of seconds as one from now. */
export function setClock(clockAheadMs: number): string {
  return `sudo date -s '${Math.round(clockAheadMs / 1000)} seconds'`;
}

function bypassProxy({ endpoint, region }: S3Config): string {
  const host =
    endpoint === undefined ? `.s3.${region ?? 'us-east-1'}.amazonaws.com` : new URL(endpoint).hostname;
  return `export NO_PROXY="\${NO_PROXY:+$NO_PROXY,}${host}"`;
}
