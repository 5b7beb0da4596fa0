import { constants } from 'node:os';

/**
 * Every failure a user can meet, by its stable code. `docs/errors.md` explains each one.
 * The value says what kind of failure it is; `program/exit-code.ts` alone turns a kind into an exit code.
 *
 * - `usage`: a flag, a variable or the project's set-up is wrong
 * - `failure`: the store, the network, the archive or the disk failed; what was on disk is untouched
 * - `unverified`: restored, but the recipe's verification failed
 * - `interrupted`: a signal stopped the run
 */
export const ERROR_KINDS = {
  USAGE: 'usage',
  CONFIG_INVALID: 'usage',
  RUNTIME_MISSING: 'usage',
  LOCKFILE_INVALID: 'usage',

  STORE_NO_CREDENTIALS: 'failure',
  STORE_BAD_CREDENTIALS: 'failure',
  STORE_ACCESS_DENIED: 'failure',
  STORE_NO_BUCKET: 'failure',
  STORE_WRONG_REGION: 'failure',
  STORE_NOT_S3: 'failure',
  STORE_UNREACHABLE: 'failure',
  STORE_TLS: 'failure',
  STORE_BUSY: 'failure',
  STORE_STALLED: 'failure',
  STORE_REPLACED: 'failure',
  STORE_NO_ENTRY: 'failure',
  STORE_FAILED: 'failure',
  TIMEOUT: 'failure',

  ARCHIVE_CORRUPT: 'failure',
  ARCHIVE_TRUNCATED: 'failure',
  ARCHIVE_REFUSED: 'failure',
  ARCHIVE_LIMIT: 'failure',
  ARCHIVE_MISMATCH: 'failure',
  ARCHIVE_UNTRUSTED: 'failure',
  WORKER_DIED: 'failure',
  OUT_OF_MEMORY: 'failure',

  SOURCE_CHANGED: 'failure',
  SOURCE_UNREADABLE: 'failure',

  TARGET_BUSY: 'failure',
  TARGET_UNWRITABLE: 'failure',
  TARGET_REFUSED: 'failure',
  DISK_FULL: 'failure',

  INTERNAL: 'failure',
  VERIFY_FAILED: 'unverified',
  INTERRUPTED: 'interrupted',
} as const satisfies Record<string, 'usage' | 'failure' | 'unverified' | 'interrupted'>;

export type ErrorCode = keyof typeof ERROR_KINDS;

/**
 * A failure with a stable `code`, one sentence that names the file, key or variable, and what to do about it.
 */
export class CacheError extends Error {
  override readonly name = 'CacheError';
  readonly code: ErrorCode;
  /** What the user can do: one sentence, without a full stop where it ends in a command. */
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(redact(message), options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint === undefined ? undefined : redact(options.hint);
  }
}

/** The `code` of a Node system error (`ENOENT`, `ECONNREFUSED`, …), or undefined for anything else. */
export function systemCode(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined;
  // libuv has no name for a used-up quota: the code reads "Unknown system error -122".
  if ('errno' in error && error.errno === -constants.errno.EDQUOT) return 'EDQUOT';
  return typeof error.code === 'string' ? error.code : undefined;
}

/** An error in a few words, for a sentence: its system code, else its text. Never the name of its class. */
export function reasonOf(error: unknown): string {
  return systemCode(error) ?? (error instanceof Error ? error.message : String(error));
}

/**
 * Removes what looks like a credential from text that may be printed: user info in URLs, AWS access key ids,
 * signatures and tokens in query strings and headers, PEM private keys.
 */
export function redact(text: string): string {
  return text
    .replace(
      /-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/g,
      '[private key]',
    )
    .replace(/\b([a-z][a-z0-9+.-]*:\/\/)[^\s/@]+@/gi, '$1[redacted]@')
    .replace(/\b(AKIA|ASIA|AROA|AIDA)[A-Z0-9]{12,}\b/g, '[access key id]')
    .replace(
      /\b((?:X-Amz-(?:Signature|Credential|Security-Token)|Signature|aws_?secret_?access_?key|aws_?session_?token|secretAccessKey|sessionToken)["']?\s*[=:]\s*["']?)[^\s&"',]+/gi,
      '$1[redacted]',
    );
}
