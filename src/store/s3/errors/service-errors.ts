/** Failures that the service itself declares, and answers of servers that are not S3. */
import { CacheError } from '../../../errors.ts';
import { code, notS3, oneLine, sanitized, where, type ErrorContext } from './context.ts';
import { classify } from './classify.ts';
import type { Inspected } from './inspect.ts';

export function foreignServer(
  seen: Inspected,
  context: ErrorContext,
  error: unknown,
): CacheError | undefined {
  if (seen.hasCode || seen.status === undefined) return undefined;
  const type = seen.headers['content-type'] ?? '';
  if (/text\/html|application\/json|text\/plain/.test(type))
    return notS3(context, `it answers ${type.split(';')[0]}`, error);
  if (seen.message.includes('parse error') || seen.name === 'SyntaxError')
    return notS3(context, 'its answers are not those of S3', error);
  if (seen.status >= 300 && seen.status < 400) return notS3(context, `it redirects (${seen.status})`, error);
  if (seen.status === 404 || seen.status === 405)
    return notS3(context, `it answers ${seen.status} without an S3 error`, error);
  return undefined;
}

export function refusal(seen: Inspected, context: ErrorContext, error: unknown): CacheError | undefined {
  const cause = sanitized(error);
  const url = `s3://${context.bucket}/${context.key}`;
  if (seen.name === 'NoSuchBucket') {
    return new CacheError('STORE_NO_BUCKET', `Bucket ${context.bucket} does not exist at ${where(context)}`, {
      hint: 'Check CACHE_S3_BUCKET, or make the bucket with: sandbox-cache setup',
      cause,
    });
  }
  if (seen.name.startsWith('KMS.') || (seen.status === 403 && /kms:/i.test(seen.message))) {
    const action =
      context.action === 's3:PutObject' ? 'kms:GenerateDataKey (and kms:Decrypt)' : 'kms:Decrypt';
    return new CacheError(
      'STORE_ACCESS_DENIED',
      `The KMS key that encrypts ${url} may not be used (${seen.name})`,
      {
        hint: `Allow ${action} on the key, or check CACHE_S3_KMS_KEY_ID.`,
        cause,
      },
    );
  }
  if (seen.name === 'InvalidObjectState') {
    return new CacheError('STORE_FAILED', `${url} has been moved to an archive storage class`, {
      hint: 'Let the lifecycle rule expire cache entries, not transition them; delete this one with: sandbox-cache prune',
      cause,
    });
  }
  // By name too: inside a 200 it has no status of its own.
  if ((seen.status === 403 && classify(error) !== 'throttled') || seen.name === 'AccessDenied') {
    const list =
      context.action === 's3:GetObject'
        ? ` and s3:ListBucket on arn:aws:s3:::${context.bucket} (without it a missing entry looks forbidden)`
        : '';
    const resource = context.action === 's3:ListBucket' ? context.bucket : `${context.bucket}/${context.key}`;
    return new CacheError('STORE_ACCESS_DENIED', `Access denied: ${context.action} on ${url}`, {
      hint: `Allow ${context.action} on arn:aws:s3:::${resource}${list}; sandbox-cache policy prints a policy that does.`,
      cause,
    });
  }
  return undefined;
}

export function trouble(seen: Inspected, context: ErrorContext, error: unknown): CacheError {
  const cause = sanitized(error);
  const url = `s3://${context.bucket}/${context.key}`;
  const fail = (message: string, hint: string): CacheError =>
    new CacheError('STORE_FAILED', message, { hint, cause });
  if (
    classify(error) === 'throttled' ||
    seen.name === 'ConditionalRequestConflict' ||
    seen.name === 'OperationAborted'
  ) {
    return new CacheError('STORE_BUSY', `${where(context)} is busy (${code(seen)}) and stayed so`, {
      hint: 'Try again later; fewer machines starting at the same moment help.',
      cause,
    });
  }
  switch (seen.name) {
    case 'EntityTooLarge':
    case 'QuotaExceeded':
    case 'XMinioStorageFull':
      return fail(
        `${url} does not fit: ${code(seen)}`,
        'Make room with: sandbox-cache prune, or raise the quota of the bucket.',
      );
    case 'NoSuchUpload':
      return fail(
        `The multipart upload of ${url} was removed while it ran`,
        'A lifecycle rule on incomplete uploads should leave them a day at least.',
      );
    case 'BadDigest':
    case 'InvalidDigest':
    case 'InvalidPart':
    case 'XAmzContentSHA256Mismatch':
    case 'XAmzContentChecksumMismatch':
      return fail(
        `Bytes of ${url} were altered on the way (${code(seen)})`,
        'Try again; if it stays, suspect a proxy that rewrites requests.',
      );
    case 'NotImplemented':
    case 'MethodNotAllowed':
      return fail(
        `${where(context)} does not implement ${context.action}`,
        'Use a service with multipart uploads and ranged reads.',
      );
    case 'InvalidRequest':
    case 'InvalidArgument':
      return fail(
        `${where(context)} refused ${context.action}: ${oneLine(seen.message)}`,
        'Check CACHE_S3_SSE, CACHE_S3_KMS_KEY_ID and the bucket policy.',
      );
    default:
      break;
  }
  if (classify(error) === 'nonsense')
    return fail(
      `${url} cannot be read: ${seen.message}`,
      'Look for a proxy or gateway that rewrites answers, and list the host in NO_PROXY.',
    );
  if (classify(error) === 'server')
    return fail(
      `${where(context)} failed (${code(seen)}) and stayed so`,
      'Try again later; look at the status page or log of the service.',
    );
  const isAnswered = seen.hasCode || (seen.status !== undefined && seen.status >= 300);
  return fail(
    isAnswered
      ? `${where(context)} answered ${code(seen)} to ${context.action} of ${url}`
      : `The answer of ${where(context)} to ${context.action} of ${url} cannot be understood`,
    'Set CACHE_DEBUG=true to see the cause.',
  );
}
