/** Policies in the formats of the tools that people use to set up AWS. */
import { shellWord } from '../text/shell-word.ts';
import type { PolicyDocument } from './statements.ts';

export type Format = 'json' | 'aws' | 'terraform' | 'cloudformation';

export type Policy =
  | { kind: 'access'; name: string; access: PolicyDocument }
  | { kind: 'bucket'; name: string; bucket: string; policy: PolicyDocument }
  /** A role: who may assume it, and what it may do. */
  | { kind: 'role'; name: string; trust: PolicyDocument; access: PolicyDocument };

/** With `json` there is only one document. For a role it is the trust policy. */
export function render(policy: Policy, format: Format): string {
  switch (format) {
    case 'json':
      return JSON.stringify(documentOf(policy), undefined, 2);
    case 'aws':
      return awsCommands(policy);
    case 'terraform':
      return terraform(policy);
    case 'cloudformation':
      return JSON.stringify(cloudFormation(policy), undefined, 2);
  }
}

export function documentOf(policy: Policy): PolicyDocument {
  switch (policy.kind) {
    case 'access':
      return policy.access;
    case 'bucket':
      return policy.policy;
    case 'role':
      return policy.trust;
  }
}

function awsCommands(policy: Policy): string {
  const name = shellWord(policy.name);
  const json = (document: PolicyDocument): string => shellWord(JSON.stringify(document));
  switch (policy.kind) {
    case 'access':
      return `aws iam create-policy --policy-name ${name} --policy-document ${json(policy.access)}`;
    case 'bucket':
      return [
        '# Takes the place of the policy that the bucket has: aws s3api get-bucket-policy shows it.',
        `aws s3api put-bucket-policy --bucket ${shellWord(policy.bucket)} --policy ${json(policy.policy)}`,
      ].join('\n');
    case 'role':
      return [
        `aws iam create-role --role-name ${name} --assume-role-policy-document ${json(policy.trust)}`,
        `aws iam put-role-policy --role-name ${name} --policy-name ${name} --policy-document ${json(policy.access)}`,
      ].join('\n');
  }
}

function terraform(policy: Policy): string {
  const name = quoted(policy.name);
  switch (policy.kind) {
    case 'access':
      return resource('aws_iam_policy', [`name   = ${name}`, `policy = ${encoded(policy.access)}`]);
    case 'bucket':
      return resource('aws_s3_bucket_policy', [
        `bucket = ${quoted(policy.bucket)}`,
        `policy = ${encoded(policy.policy)}`,
      ]);
    case 'role':
      return [
        resource('aws_iam_role', [
          `name               = ${name}`,
          `assume_role_policy = ${encoded(policy.trust)}`,
        ]),
        '',
        resource('aws_iam_role_policy', [
          `name   = ${name}`,
          'role   = aws_iam_role.sandbox_cache.id',
          `policy = ${encoded(policy.access)}`,
        ]),
      ].join('\n');
  }
}

function resource(type: string, lines: readonly string[]): string {
  const body = lines.map((line) => `  ${line.split('\n').join('\n  ')}`);
  return [`resource "${type}" "sandbox_cache" {`, ...body, '}'].join('\n');
}

/** A JSON document is a valid HCL expression, except for `${` and `%{`, which begin a template in HCL. */
function encoded(document: PolicyDocument): string {
  return `jsonencode(${untemplated(JSON.stringify(document, undefined, 2))})`;
}

function quoted(text: string): string {
  return untemplated(JSON.stringify(text));
}

function untemplated(json: string): string {
  return json.replace(/([$%])\{/g, '$1$1{');
}

function cloudFormation(policy: Policy): unknown {
  return {
    AWSTemplateFormatVersion: '2010-09-09',
    Resources: { SandboxCache: cloudFormationResource(policy) },
  };
}

function cloudFormationResource(policy: Policy): unknown {
  switch (policy.kind) {
    case 'access':
      return {
        Type: 'AWS::IAM::ManagedPolicy',
        Properties: { ManagedPolicyName: policy.name, PolicyDocument: policy.access },
      };
    case 'bucket':
      return {
        Type: 'AWS::S3::BucketPolicy',
        Properties: { Bucket: policy.bucket, PolicyDocument: policy.policy },
      };
    case 'role':
      return {
        Type: 'AWS::IAM::Role',
        Properties: {
          RoleName: policy.name,
          AssumeRolePolicyDocument: policy.trust,
          Policies: [{ PolicyName: policy.name, PolicyDocument: policy.access }],
        },
      };
  }
}
