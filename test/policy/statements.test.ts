import { describe, expect, it } from 'vitest';
import { type Access, accessPolicy, bucketPolicy } from '../../src/policy/statements.ts';

const access: Access = {
  roles: ['reader'],
  bucket: 'b',
  prefixes: ['cache'],
  region: 'eu-central-1',
  kmsKey: undefined,
};

const statement = (given: Partial<Access>, n: number) => accessPolicy({ ...access, ...given }).Statement[n];

it('a reader reads and lists, and nothing else', () => {
  expect(accessPolicy(access)).toEqual({
    Version: '2012-10-17',
    Statement: [
      {
        Sid: 'SandboxCacheEntries',
        Effect: 'Allow',
        Action: 's3:GetObject',
        Resource: 'arn:aws:s3:::b/cache/*',
      },
      { Sid: 'SandboxCacheListing', Effect: 'Allow', Action: 's3:ListBucket', Resource: 'arn:aws:s3:::b' },
    ],
  });
});

it('several roles have what each of them needs, once; several prefixes are several resources', () => {
  expect(statement({ roles: ['writer', 'pruner'], prefixes: ['prod/cache', 'team'] }, 0)).toMatchObject({
    Action: ['s3:GetObject', 's3:PutObject', 's3:AbortMultipartUpload', 's3:DeleteObject'],
    Resource: ['arn:aws:s3:::b/prod/cache/*', 'arn:aws:s3:::b/team/*'],
  });
});

it('what IAM takes for wildcards and variables means itself', () => {
  expect(statement({ prefixes: ['a*/${aws:username}?'] }, 0)).toMatchObject({
    Resource: 'arn:aws:s3:::b/a${*}/${$}{aws:username}${?}/*',
  });
});

it('the partition is that of the region', () => {
  expect(statement({ region: 'cn-north-1' }, 1)?.Resource).toBe('arn:aws-cn:s3:::b');
  expect(statement({ region: 'us-gov-west-1' }, 1)?.Resource).toBe('arn:aws-us-gov:s3:::b');
  expect(statement({ region: undefined }, 1)?.Resource).toBe('arn:aws:s3:::b');
});

describe('a KMS key', () => {
  const via = { StringEquals: { 'kms:ViaService': 's3.eu-central-1.amazonaws.com' } };
  const key = 'arn:aws:kms:us-west-2:111122223333:key/1234';

  it('by its ARN: through S3 of its region alone', () => {
    expect(statement({ kmsKey: key, roles: ['writer'] }, 2)).toEqual({
      Sid: 'SandboxCacheKey',
      Effect: 'Allow',
      Action: ['kms:GenerateDataKey', 'kms:Decrypt'],
      Resource: key,
      Condition: { StringEquals: { 'kms:ViaService': 's3.us-west-2.amazonaws.com' } },
    });
    expect(statement({ kmsKey: key }, 2)?.Action).toBe('kms:Decrypt');
  });

  it('by its id or an alias, which IAM does not take for a resource', () => {
    expect(statement({ kmsKey: '1234' }, 2)).toMatchObject({
      Resource: 'arn:aws:kms:eu-central-1:*:key/1234',
      Condition: via,
    });
    for (const kmsKey of ['alias/mine', 'arn:aws:kms:eu-central-1:1:alias/mine']) {
      expect(statement({ kmsKey }, 2)?.Condition).toEqual({
        ...via,
        'ForAnyValue:StringEquals': { 'kms:ResourceAliases': 'alias/mine' },
      });
      expect(statement({ kmsKey }, 2)?.Resource).toMatch(/^arn:aws:kms:eu-central-1:[*1]:key\/\*$/);
    }
  });

  it('without a region: through S3 of any', () => {
    expect(statement({ kmsKey: '1234', region: undefined }, 2)).toMatchObject({
      Resource: 'arn:aws:kms:*:*:key/1234',
      Condition: { StringLike: { 'kms:ViaService': 's3.*.amazonaws.com' } },
    });
  });
});

it("a bucket's policy names who may, and says nothing of keys, which are not the bucket's", () => {
  const { Statement } = bucketPolicy({ ...access, kmsKey: '1234' }, ['arn:aws:iam::1:root']);
  expect(Statement.map(({ Principal, Action }) => [Principal, Action])).toEqual([
    [{ AWS: 'arn:aws:iam::1:root' }, 's3:GetObject'],
    [{ AWS: 'arn:aws:iam::1:root' }, 's3:ListBucket'],
  ]);
});
