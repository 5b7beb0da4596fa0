/**
 * IAM policies for each role: they allow the requests that our commands send, and nothing else. This only
 * makes documents; it does not use the SDK, and sends nothing.
 */

/** `reader` restores and lists; `writer` saves as well; `pruner` lists and deletes. */
export type Role = 'reader' | 'writer' | 'pruner';

export interface Statement {
  Sid?: string;
  Effect: 'Allow';
  Principal?: Record<string, string | string[]>;
  Action: string | string[];
  Resource?: string | string[];
  Condition?: Record<string, Record<string, string | string[]>>;
}

export interface PolicyDocument {
  Version: '2012-10-17';
  Statement: Statement[];
}

export interface Access {
  roles: readonly Role[];
  bucket: string;
  /** Without slashes at the ends. */
  prefixes: readonly string[];
  /** Sample value: `eu-central-1`. Undefined: not known. */
  region: string | undefined;
  /** ARN, id or alias of the key that encrypts the entries. */
  kmsKey: string | undefined;
}

/**
 * A deletion looks at the object first. A multipart upload needs `s3:PutObject`; aborting it needs a right of
 * its own.
 */
const ENTRY_ACTIONS: Readonly<Record<Role, readonly string[]>> = {
  reader: ['s3:GetObject'],
  writer: ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload'],
  pruner: ['s3:GetObject', 's3:DeleteObject'],
};

/** S3 needs both for an upload of several parts. */
const KMS_ACTIONS: Readonly<Record<Role, readonly string[]>> = {
  reader: ['kms:Decrypt'],
  writer: ['kms:GenerateDataKey', 'kms:Decrypt'],
  pruner: ['kms:Decrypt'],
};

/** For an identity: a user or a role. */
export function accessPolicy(access: Access): PolicyDocument {
  const kms = access.kmsKey === undefined ? [] : [kmsStatement(access, access.kmsKey)];
  return document([...storeStatements(access), ...kms]);
}

/** For the bucket itself, so that identities of other accounts may use it. @param principals their ARNs */
export function bucketPolicy(access: Access, principals: readonly string[]): PolicyDocument {
  const Principal = { AWS: oneOrMany(principals) };
  return document(
    storeStatements(access).map(({ Sid, Effect, ...rest }) => ({ Sid: Sid!, Effect, Principal, ...rest })),
  );
}

export function document(Statement: Statement[]): PolicyDocument {
  return { Version: '2012-10-17', Statement };
}

function storeStatements({ roles, bucket, prefixes, region }: Access): Statement[] {
  const arn = `arn:${partition(region)}:s3:::${bucket}`;
  return [
    {
      Sid: 'SandboxCacheEntries',
      Effect: 'Allow',
      Action: union(roles, ENTRY_ACTIONS),
      Resource: oneOrMany(prefixes.map((prefix) => `${arn}/${literal(prefix)}/*`)),
    },
    // Without a condition on s3:prefix: a read carries no prefix, so a missing entry would look forbidden.
    { Sid: 'SandboxCacheListing', Effect: 'Allow', Action: 's3:ListBucket', Resource: arn },
  ];
}

function kmsStatement({ roles, region }: Access, key: string): Statement {
  const [, , , ofKey, account] = key.startsWith('arn:') ? key.split(':') : [];
  const place = ofKey ?? region;
  const keys = `arn:${partition(place)}:kms:${place ?? '*'}:${account ?? '*'}:key/`;
  const alias = /(?:^|:)(alias\/.+)$/.exec(key)?.[1];
  const suffix = place?.startsWith('cn-') === true ? 'amazonaws.com.cn' : 'amazonaws.com';
  const via = { [place === undefined ? 'StringLike' : 'StringEquals']: `s3.${place ?? '*'}.${suffix}` };
  return {
    Sid: 'SandboxCacheKey',
    Effect: 'Allow',
    Action: union(roles, KMS_ACTIONS),
    Resource: alias !== undefined ? `${keys}*` : key.startsWith('arn:') ? key : `${keys}${key}`,
    Condition: {
      ...Object.fromEntries(
        Object.entries(via).map(([operator, value]) => [operator, { 'kms:ViaService': value }]),
      ),
      ...(alias === undefined ? {} : { 'ForAnyValue:StringEquals': { 'kms:ResourceAliases': alias } }),
    },
  };
}

/** Sample value: `aws-cn`. */
export function partition(region: string | undefined): string {
  if (region?.startsWith('cn-') === true) return 'aws-cn';
  return region?.startsWith('us-gov-') === true ? 'aws-us-gov' : 'aws';
}

/**
 * In IAM `*` and `?` are wildcards and `${…}` is a variable. For each of these characters a variable stands
 * for the character itself.
 */
function literal(text: string): string {
  return text.replace(/[*?$]/g, (character) => `\${${character}}`);
}

function union(roles: readonly Role[], table: Readonly<Record<Role, readonly string[]>>): string | string[] {
  return oneOrMany([...new Set(roles.flatMap((role) => table[role]))]);
}

function oneOrMany(values: readonly string[]): string | string[] {
  const [first] = values;
  return values.length === 1 && first !== undefined ? first : [...values];
}
