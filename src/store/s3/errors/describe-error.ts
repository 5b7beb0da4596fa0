/**
 * Every way S3 can fail, as a sentence a user can act on. One function a family, asked in an order that
 * matters where an answer fits several.
 */
import { CacheError, systemCode } from '../../../errors.ts';
import { foreignServer, refusal, trouble } from './service-errors.ts';
import { oneLine, sanitized, type ErrorContext } from './context.ts';
import { networkError } from './network-errors.ts';
import { inspect, type Inspected } from './inspect.ts';

/** What went wrong with a source of credentials that the SDK's chain tells nothing about. */
export interface SourceFailure {
  message: string;
  hint: string;
}

/** Turns whatever a request threw into a `CacheError`; a `CacheError` passes through. */
export function describeError(error: unknown, context: ErrorContext): CacheError {
  if (error instanceof CacheError) return error;
  const seen = inspect(error);
  return (
    credentialError(seen, context, error) ??
    networkError(seen, context, error) ??
    configurationError(seen, context, error) ??
    foreignServer(seen, context, error) ??
    refusal(seen, context, error) ??
    trouble(seen, context, error)
  );
}

/**
 * No usable credentials came out of the SDK's chain. Separate, because only the caller knows that an `ENOENT`
 * or a timeout came from there.
 * @param failure of the one source that is configured, and must have worked
 */
export function noCredentials(error: unknown, context: ErrorContext, failure?: SourceFailure): CacheError {
  if (failure !== undefined) {
    return new CacheError(
      'STORE_NO_CREDENTIALS',
      `No AWS credentials for s3://${context.bucket}: ${failure.message}`,
      { hint: failure.hint, cause: sanitized(error) },
    );
  }
  const profile =
    context.profile === undefined ? 'the shared AWS profile' : `the AWS profile "${context.profile}"`;
  const { halfSet } = context;
  const environment =
    halfSet === undefined
      ? 'the environment (AWS_ACCESS_KEY_ID)'
      : `the environment (${halfSet.given} without ${halfSet.missing})`;
  const said = inspect(error).message.replace(/\s+/g, ' ').slice(0, 200);
  return new CacheError(
    'STORE_NO_CREDENTIALS',
    `No AWS credentials for s3://${context.bucket}: tried ${environment}, ${profile}, SSO, ` +
      `a web identity token (IRSA), container credentials (ECS, EKS Pod Identity) and the instance role; ` +
      `the last said: ${said}`,
    { hint: credentialsHint(context), cause: sanitized(error) },
  );
}

function credentialsHint({ profile, halfSet }: ErrorContext): string {
  if (halfSet !== undefined) return `Set ${halfSet.missing} too, or unset ${halfSet.given}.`;
  if (profile !== undefined) {
    return `AWS_PROFILE is ${profile}: check that ~/.aws/config or ~/.aws/credentials has it (aws configure list-profiles) and that its sign-on is fresh (aws sso login --profile ${profile}), or unset it.`;
  }
  return 'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or give the task, pod or instance a role.';
}

function credentialError(seen: Inspected, context: ErrorContext, error: unknown): CacheError | undefined {
  const fail = (message: string, hint: string): CacheError =>
    new CacheError('STORE_BAD_CREDENTIALS', `${message} (s3://${context.bucket})`, {
      hint,
      cause: sanitized(error),
    });
  switch (seen.name) {
    case 'CredentialsProviderError':
    case 'TokenProviderError':
      return noCredentials(error, context);
    case 'InvalidAccessKeyId':
    case 'InvalidClientTokenId':
      return fail(
        'The AWS access key id is not known there',
        'Check AWS_ACCESS_KEY_ID, and that it belongs to this endpoint.',
      );
    case 'SignatureDoesNotMatch':
      return fail(
        'The AWS secret access key does not fit the access key id',
        'Look at AWS_SECRET_ACCESS_KEY for a cut-off value, a stray space or quote, or a pair mixed from two places.',
      );
    case 'ExpiredToken':
    case 'ExpiredTokenException':
    case 'TokenRefreshRequired':
      return fail(
        'The AWS session token has expired',
        'Get new credentials: aws sso login, or export a fresh AWS_SESSION_TOKEN.',
      );
    case 'InvalidToken':
    case 'UnrecognizedClientException':
      return fail(
        'The AWS session token is not valid',
        'Temporary keys need their own AWS_SESSION_TOKEN, permanent ones need none.',
      );
    case 'RequestTimeTooSkewed':
    case 'RequestExpired':
      return fail(
        'The clock of this machine is wrong, so signatures are refused',
        'Set the clock; a Docker VM that slept needs a restart.',
      );
    default:
      return undefined;
  }
}

function configurationError(seen: Inspected, context: ErrorContext, error: unknown): CacheError | undefined {
  if (
    seen.name === 'EndpointError' ||
    systemCode(error) === 'ERR_INVALID_URL' ||
    seen.message === 'Invalid URL'
  ) {
    return new CacheError('CONFIG_INVALID', `No usable S3 address: ${oneLine(seen.message)}`, {
      hint: `Check ${context.names.endpoint} (with http:// or https://), ${context.names.region}, and that CACHE_S3_ACCELERATE is off for this bucket.`,
      cause: sanitized(error),
    });
  }
  if (seen.name === 'InvalidBucketName' || seen.name === 'UriParameterError') {
    return new CacheError(
      'CONFIG_INVALID',
      `CACHE_S3_BUCKET is "${context.bucket}", which is no valid bucket name`,
      {
        hint: 'Use 3 to 63 lower-case letters, digits, dots and hyphens.',
        cause: sanitized(error),
      },
    );
  }
  if (isRedirect(seen)) {
    return new CacheError(
      'STORE_WRONG_REGION',
      `Bucket ${context.bucket} is not in ${context.region}, and the answer does not say where`,
      {
        hint: `Set AWS_REGION to the bucket's region: aws s3api get-bucket-location --bucket ${context.bucket}`,
        cause: sanitized(error),
      },
    );
  }
  return undefined;
}

/** Whether the answer says "another region" in any of its ways. */
export function isRedirect({ name, status, hasCode, headers }: Inspected): boolean {
  if (name === 'PermanentRedirect' || name === 'TemporaryRedirect' || name === 'AuthorizationHeaderMalformed')
    return true;
  return !hasCode && (status === 301 || status === 307) && 'x-amz-bucket-region' in headers;
}
