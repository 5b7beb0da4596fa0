/** What every description of a failure needs: what was being done, and how to say where. */
import { CacheError, redact } from '../../../errors.ts';
import { inspect, type Inspected } from './inspect.ts';

/** Where settings with several sources came from, or would: a variable, or an entry of a profile. */
export interface SettingNames {
  endpoint: string;
  region: string;
  proxy: string;
}

/** What was being done when it failed. */
export interface ErrorContext {
  bucket: string;
  /** The custom endpoint, or undefined for AWS. */
  endpoint: string | undefined;
  names: SettingNames;
  region: string;
  profile: string | undefined;
  /** Variables of which the environment has only one. */
  halfSet: { given: string; missing: string } | undefined;
  stallTimeoutMs: number;
  /** The IAM action that must be allowed for it, e.g. `s3:GetObject`. */
  action: string;
  /** The key, or for a list the prefix. */
  key: string;
}

/** A web server, a login page, a console port: anything but S3. */
export function notS3(context: ErrorContext, evidence: string, error?: unknown): CacheError {
  return new CacheError('STORE_NOT_S3', `${where(context)} is not an S3 service: ${evidence}`, {
    hint: `Point ${context.names.endpoint} at the S3 API (for MinIO port 9000, not the console), and check for a captive portal or proxy.`,
    cause: sanitized(error),
  });
}

export function where({ endpoint, region }: ErrorContext): string {
  return endpoint ?? `https://s3.${region}.amazonaws.com`;
}

/**
 * What the service answered: `503 SlowDown`, or the status alone. Without a code of its own an error is named
 * by a class of JavaScript's.
 */
export function code({ name, status, hasCode }: Inspected): string {
  return [status, hasCode ? name : undefined].filter((part) => part !== undefined).join(' ');
}

export function oneLine(text: string): string {
  return text.replace(/\s+/g, ' ').trim();
}

/**
 * SDK errors carry the request they belong to, signature and key id included; a cause keeps the name and the
 * message.
 */
export function sanitized(error: unknown): Error | undefined {
  if (error === undefined) return undefined;
  const { name, message } = inspect(error);
  const plain = new Error(redact(oneLine(message)));
  plain.name = name;
  return plain;
}
