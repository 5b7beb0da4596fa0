import { isBucketName } from '../config/s3.ts';
import { CacheError } from '../errors.ts';
import { keyPrefix } from '../key.ts';
import { documentOf, type Format, type Policy, render } from '../policy/formats.ts';
import { type Access, accessPolicy, bucketPolicy, partition, type Role } from '../policy/statements.ts';
import { irsaTrust, podIdentityTrust, type ServiceAccount } from '../policy/trust.ts';
import type { Session } from '../session/session.ts';

export type Kind = 'access' | 'bucket' | 'irsa' | 'pod-identity';

export interface PolicyFlags {
  /** @default writer */
  role?: Role[];
  /** @default the configured one */
  bucket?: string;
  /** @default the configured one */
  prefix?: string[];
  /** @default the configured one */
  kmsKey?: string;
  /** ARNs, or numbers of accounts. */
  principal?: string[];
  /** ARN of the cluster's OIDC provider. */
  oidcProvider?: string;
  /** `namespace/name` */
  serviceAccount?: string;
  /** Of the policy or the role. @default sandbox-cache-<roles> */
  name?: string;
  format?: Format;
}

/** Prints what has to be allowed. Nothing is sent. @throws CacheError USAGE */
export function policy(session: Session, kind: Kind, flags: PolicyFlags): { json: unknown; text: string } {
  const access = accessOf(session, flags);
  const name = flags.name ?? `sandbox-cache-${access.roles.join('-')}`;
  if (!/^[\w+=,.@-]{1,64}$/.test(name))
    throw usage(`--name is "${name}"`, 'It takes up to 64 letters, digits and + = , . @ - _.');
  const made = policyOf(kind, { access, name, flags });
  const format = flags.format ?? 'json';
  const { roles, bucket, prefixes } = access;
  const text = render(made, format);
  return { json: { kind, roles, bucket, prefixes, format, document: documentOf(made), text }, text };
}

function accessOf({ config }: Session, flags: PolicyFlags): Access {
  const s3 = 's3' in config.store ? config.store.s3 : undefined;
  const bucket = flags.bucket ?? s3?.bucket;
  if (bucket === undefined)
    throw usage('no bucket is given', 'Set CACHE_S3_BUCKET, or name one with --bucket.');
  if (!isBucketName(bucket))
    throw usage(
      `--bucket is "${bucket}"`,
      'It takes the name alone: 3 to 63 letters, digits, dots and hyphens.',
    );
  return {
    roles: [...new Set(flags.role ?? ['writer' as const])],
    bucket,
    prefixes: [...new Set((flags.prefix ?? [config.prefix]).map(keyPrefix))],
    region: s3?.region,
    kmsKey: flags.kmsKey ?? s3?.kmsKeyId,
  };
}

function policyOf(
  kind: Kind,
  { access, name, flags }: { access: Access; name: string; flags: PolicyFlags },
): Policy {
  switch (kind) {
    case 'access':
      return { kind, name, access: accessPolicy(access) };
    case 'bucket': {
      const { bucket } = access;
      return { kind, name, bucket, policy: bucketPolicy(access, principals(flags, access.region)) };
    }
    case 'irsa':
      return {
        kind: 'role',
        name,
        trust: irsaTrust(oidcProvider(flags), serviceAccount(flags)),
        access: accessPolicy(access),
      };
    case 'pod-identity':
      return {
        kind: 'role',
        name,
        trust: podIdentityTrust(serviceAccount(flags)),
        access: accessPolicy(access),
      };
  }
}

function principals({ principal = [] }: PolicyFlags, region: string | undefined): string[] {
  if (principal.length === 0)
    throw usage('--principal is missing', 'Give the ARN of a user or role, or the number of an account.');
  return principal.map((text) => {
    if (/^\d{12}$/.test(text)) return `arn:${partition(region)}:iam::${text}:root`;
    if (/^arn:aws[\w-]*:(iam|sts)::(\d{12})?:(root$|user\/.|role\/.|assumed-role\/.)/.test(text)) return text;
    throw usage(
      `--principal is "${text}"`,
      'It takes the ARN of a user or role, e.g. arn:aws:iam::111122223333:role/ci, or 12 digits.',
    );
  });
}

function oidcProvider({ oidcProvider: arn }: PolicyFlags): string {
  if (arn !== undefined && /^arn:aws[\w-]*:iam::\d{12}:oidc-provider\/\S+$/.test(arn)) return arn;
  throw usage(
    arn === undefined ? '--oidc-provider is missing' : `--oidc-provider is "${arn}"`,
    'It takes the ARN that aws iam list-open-id-connect-providers prints for the cluster.',
  );
}

function serviceAccount({ serviceAccount: text }: PolicyFlags): ServiceAccount {
  const [, namespace, name] = /^([a-z0-9-]+)\/([a-z0-9.-]+)$/.exec(text ?? '') ?? [];
  if (namespace !== undefined && name !== undefined) return { namespace, name };
  throw usage(
    text === undefined ? '--service-account is missing' : `--service-account is "${text}"`,
    'It takes namespace/name, e.g. default/claude-sandbox-sa.',
  );
}

function usage(message: string, hint: string): CacheError {
  return new CacheError('USAGE', message, { hint });
}
