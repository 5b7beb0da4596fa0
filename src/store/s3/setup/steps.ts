/** The steps of setting a bucket up, each of which looks first and then does one thing. */
import {
  GetBucketAccelerateConfigurationCommand,
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketLoggingCommand,
  PutBucketAccelerateConfigurationCommand,
  PutBucketEncryptionCommand,
  PutBucketLifecycleConfigurationCommand,
  PutBucketLoggingCommand,
} from '@aws-sdk/client-s3';
import type { Connection } from '../connection/connection.ts';
import { mergedRules, wantedRule } from './lifecycle.ts';
import { noListing } from './no-listing.ts';
import { look, put } from './requests.ts';
import type { Applied, Step, Wanted } from './wanted.ts';
import { counted } from '../../../text/counted.ts';

/** @returns undefined where nothing is wanted */
export type MakeStep = (
  connection: Connection,
  wanted: Wanted,
  signal: AbortSignal,
) => Promise<Step | undefined>;

const DENIED = 'cannot be read';
const UNSUPPORTED: Step['apply'] = async () => ({ result: 'unsupported' });

export const encryptionStep: MakeStep = async (connection, { bucket, encryption }, signal) => {
  const { algorithm, key, isAsked } = encryption;
  const isKms = algorithm !== 'AES256';
  const ServerSideEncryptionConfiguration = {
    Rules: [
      {
        ApplyServerSideEncryptionByDefault: {
          SSEAlgorithm: algorithm,
          ...(isKms && key !== undefined ? { KMSMasterKeyID: key } : {}),
        },
        // One request to KMS for many objects, which S3 does not offer with two layers.
        ...(algorithm === 'aws:kms' ? { BucketKeyEnabled: true } : {}),
      },
    ],
  };
  const title = `default encryption ${algorithm}${isKms && key !== undefined ? ` with ${key}` : ''}`;
  const json = JSON.stringify(ServerSideEncryptionConfiguration);
  const commands = [['put-bucket-encryption', '--server-side-encryption-configuration', json]];
  const looked = await look(connection, {
    action: 's3:GetEncryptionConfiguration',
    request: (client) => client.send(noListing(new GetBucketEncryptionCommand({ Bucket: bucket }))),
    signal,
  });
  const apply: Step['apply'] = (at) =>
    put(connection, {
      action: 's3:PutEncryptionConfiguration',
      request: (client) =>
        client.send(new PutBucketEncryptionCommand({ Bucket: bucket, ServerSideEncryptionConfiguration })),
      signal: at,
    });
  if (looked === 'unsupported') return { title, state: 'unsupported', commands: [], apply };
  if (looked === 'missing') return { title, state: 'todo', commands, apply };
  if (looked === 'denied') return { title, state: 'todo', note: DENIED, commands, apply };
  const [rule] = looked.found.ServerSideEncryptionConfiguration?.Rules ?? [];
  if (rule === undefined) return { title, state: 'unsupported', commands: [], apply: UNSUPPORTED };
  const { SSEAlgorithm, KMSMasterKeyID } = rule.ApplyServerSideEncryptionByDefault ?? {};
  const isSame = SSEAlgorithm === algorithm && (!isKms || key === undefined || KMSMasterKeyID === key);
  if (isSame) return { title, state: 'done', commands: [], apply };
  if (!isAsked && SSEAlgorithm !== undefined)
    return { title: `default encryption ${SSEAlgorithm}`, state: 'done', commands: [], apply };
  return { title, state: 'todo', note: `now ${SSEAlgorithm ?? 'none'}`, commands, apply };
};

export const lifecycleStep: MakeStep = async (connection, wanted, signal) => {
  const { bucket, prefix, expireDays, abortDays, tiering } = wanted;
  const parts = [
    ...(expireDays === undefined ? [] : [`entries expire after ${counted(expireDays, 'day')}`]),
    ...(tiering ? ['entries go to INTELLIGENT_TIERING'] : []),
    `abandoned uploads go after ${counted(abortDays, 'day')}`,
  ];
  const title = `lifecycle rule for ${prefix}/: ${parts.join(', ')}`;
  const rule = wantedRule(wanted);
  const find = async (at: AbortSignal) =>
    look(connection, {
      action: 's3:GetLifecycleConfiguration',
      request: (client) =>
        client.send(noListing(new GetBucketLifecycleConfigurationCommand({ Bucket: bucket }))),
      signal: at,
    });
  const apply = async (at: AbortSignal): Promise<Applied> => {
    // Read again: others may have changed theirs while somebody was asked.
    const looked = await find(at);
    // The call replaces all rules, and those that cannot be seen would be lost.
    if (looked === 'denied') return { result: 'denied', note: 'allow s3:GetLifecycleConfiguration' };
    if (looked === 'unsupported') return { result: 'unsupported' };
    const Rules = mergedRules(looked === 'missing' ? [] : (looked.found.Rules ?? []), rule);
    if (Rules === undefined) return { result: 'done' };
    return put(connection, {
      action: 's3:PutLifecycleConfiguration',
      request: (client) =>
        client.send(
          new PutBucketLifecycleConfigurationCommand({ Bucket: bucket, LifecycleConfiguration: { Rules } }),
        ),
      signal: at,
    });
  };
  const looked = await find(signal);
  if (looked === 'unsupported') return { title, state: 'unsupported', commands: [], apply };
  if (looked === 'denied') return { title, state: 'todo', note: DENIED, commands: [], apply };
  const present = looked === 'missing' ? [] : (looked.found.Rules ?? []);
  const Rules = mergedRules(present, rule);
  if (Rules === undefined) return { title, state: 'done', commands: [], apply };
  const others = Rules.length - 1;
  const json = JSON.stringify({ Rules });
  return {
    title,
    state: 'todo',
    ...(others === 0 ? {} : { note: `${others} other rule${others === 1 ? ' stays' : 's stay'}` }),
    commands: [['put-bucket-lifecycle-configuration', '--lifecycle-configuration', json]],
    apply,
  };
};

export const accelerationStep: MakeStep = async (connection, { bucket, accelerate }, signal) => {
  if (!accelerate) return undefined;
  const title = 'Transfer Acceleration';
  if (connection.custom) return { title, state: 'unsupported', commands: [], apply: UNSUPPORTED };
  const looked = await look(connection, {
    action: 's3:GetAccelerateConfiguration',
    request: (client) =>
      client.send(noListing(new GetBucketAccelerateConfigurationCommand({ Bucket: bucket }))),
    signal,
  });
  const isOn = typeof looked === 'object' && looked.found.Status === 'Enabled';
  return {
    title,
    state: looked === 'unsupported' ? 'unsupported' : isOn ? 'done' : 'todo',
    commands: isOn
      ? []
      : [['put-bucket-accelerate-configuration', '--accelerate-configuration', 'Status=Enabled']],
    apply: (at) =>
      put(connection, {
        action: 's3:PutAccelerateConfiguration',
        request: (client) =>
          client.send(
            new PutBucketAccelerateConfigurationCommand({
              Bucket: bucket,
              AccelerateConfiguration: { Status: 'Enabled' },
            }),
          ),
        signal: at,
      }),
  };
};

export const loggingStep: MakeStep = async (connection, { bucket, logBucket }, signal) => {
  if (logBucket === undefined) return undefined;
  const title = `access logs to ${logBucket}`;
  const BucketLoggingStatus = {
    LoggingEnabled: { TargetBucket: logBucket, TargetPrefix: `s3-access-logs/${bucket}/` },
  };
  const looked = await look(connection, {
    action: 's3:GetBucketLogging',
    request: (client) => client.send(noListing(new GetBucketLoggingCommand({ Bucket: bucket }))),
    signal,
  });
  const target = typeof looked === 'object' ? looked.found.LoggingEnabled?.TargetBucket : undefined;
  const isOn = target === logBucket;
  const json = JSON.stringify(BucketLoggingStatus);
  return {
    title,
    state: looked === 'unsupported' ? 'unsupported' : isOn ? 'done' : 'todo',
    ...(target === undefined || isOn ? {} : { note: `now to ${target}` }),
    commands: isOn ? [] : [['put-bucket-logging', '--bucket-logging-status', json]],
    apply: (at) =>
      put(connection, {
        action: 's3:PutBucketLogging',
        request: (client) =>
          client.send(new PutBucketLoggingCommand({ Bucket: bucket, BucketLoggingStatus })),
        signal: at,
      }),
  };
};
