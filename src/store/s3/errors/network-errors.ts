/** Failures on the way to the service: no answer, or none that is HTTP. */
import { CacheError, systemCode } from '../../../errors.ts';
import { notS3, sanitized, where, type ErrorContext } from './context.ts';
import { classify, isGarbledTls } from './classify.ts';
import type { Inspected } from './inspect.ts';

export function networkError(seen: Inspected, context: ErrorContext, error: unknown): CacheError | undefined {
  const place = where(context);
  const code = systemCode(error) ?? '';
  const cause = sanitized(error);
  if (seen.status !== undefined && classify(error) !== 'reset') return undefined;
  if (code === 'PROXY_REFUSED') {
    return new CacheError('STORE_UNREACHABLE', `${seen.message} on the way to ${place}`, {
      hint: `Check ${context.names.proxy}, or list the host in NO_PROXY.`,
      cause,
    });
  }
  if (code.startsWith('HPE_')) return notS3(context, 'what answers there does not speak HTTP', error);
  if (isGarbledTls(code)) {
    return new CacheError(
      'STORE_TLS',
      `No TLS connection to ${place}: what answers there does not speak TLS (${code})`,
      {
        hint: `A server without TLS needs an http:// endpoint in ${context.names.endpoint}.`,
        cause,
      },
    );
  }
  if (code.startsWith('CERT_') || code.startsWith('ERR_TLS_') || CERTIFICATE_CODES.has(code)) {
    return new CacheError('STORE_TLS', `The certificate of ${place} is not trusted (${code})`, {
      hint: 'For a private authority or an inspecting proxy, set AWS_CA_BUNDLE (or NODE_EXTRA_CA_CERTS) to its PEM file.',
      cause,
    });
  }
  switch (classify(error)) {
    case 'dns':
      return new CacheError('STORE_UNREACHABLE', `The host name of ${place} does not resolve (${code})`, {
        hint: `Check ${context.endpoint === undefined ? context.names.region : context.names.endpoint} and this machine's DNS.`,
        cause,
      });
    case 'refused':
      return new CacheError('STORE_UNREACHABLE', `No connection to ${place} (${code})`, {
        hint: `Check that the service runs and ${context.endpoint === undefined ? 'that a firewall lets port 443 through' : `that ${context.names.endpoint} is right`}.`,
        cause,
      });
    case 'reset':
      return new CacheError('STORE_UNREACHABLE', `The connection to ${place} broke off again and again`, {
        hint: 'Try again; if it stays, look for a proxy or firewall between here and there.',
        cause,
      });
    case 'stalled':
      return new CacheError(
        'STORE_STALLED',
        `${place} made no progress for ${context.stallTimeoutMs / 1000} s`,
        {
          hint: 'Raise CACHE_STALL_TIMEOUT (seconds) if the network is known to pause.',
          cause,
        },
      );
    default:
      if (!/^E[A-Z]+$/.test(code)) return undefined;
      return new CacheError('STORE_UNREACHABLE', `No connection to ${place} (${code})`, {
        hint: "Check this machine's network and limits (ulimit -n).",
        cause,
      });
  }
}

const CERTIFICATE_CODES = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'HOSTNAME_MISMATCH',
]);
