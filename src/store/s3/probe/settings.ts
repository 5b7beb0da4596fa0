/** What the bucket is set to. Few credentials may ask for all of it, and few services know all of it. */
import {
  GetBucketEncryptionCommand,
  GetBucketLifecycleConfigurationCommand,
  GetBucketNotificationConfigurationCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  GetPublicAccessBlockCommand,
  type LifecycleRule,
} from '@aws-sdk/client-s3';
import { inspect } from '../errors/inspect.ts';
import { ask, type Asking, send } from './asking.ts';
import type { LifecycleFacts, StoreFacts } from './facts.ts';

type Settings = Pick<
  StoreFacts,
  'publicAccess' | 'encryption' | 'versioning' | 'objectLock' | 'lifecycle' | 'notifications'
>;

/** @param prefix that of the entries, without a slash at its end */
export async function askSettings(asking: Asking, prefix: string): Promise<Settings> {
  const input = { Bucket: asking.connection.bucket };
  const [publicAccess, encryption, versioning, objectLock, lifecycle, notifications] = await Promise.all([
    ask(asking, 's3:GetBucketPublicAccessBlock', () =>
      orElse('not blocked' as const, async () => {
        const answer = await send(asking, (client, options) =>
          client.send(new GetPublicAccessBlockCommand(input), options),
        );
        const { BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets } =
          answer.PublicAccessBlockConfiguration ?? {};
        const all = [BlockPublicAcls, IgnorePublicAcls, BlockPublicPolicy, RestrictPublicBuckets];
        if (all.every((set) => set === true)) return 'blocked';
        return all.includes(true) ? 'partly blocked' : 'not blocked';
      }),
    ),
    ask(asking, 's3:GetEncryptionConfiguration', () =>
      orElse(undefined, async () => {
        const answer = await send(asking, (client, options) =>
          client.send(new GetBucketEncryptionCommand(input), options),
        );
        const [rule] = answer.ServerSideEncryptionConfiguration?.Rules ?? [];
        return rule?.ApplyServerSideEncryptionByDefault?.SSEAlgorithm as string | undefined;
      }),
    ),
    ask(asking, 's3:GetBucketVersioning', async () => {
      const answer = await send(asking, (client, options) =>
        client.send(new GetBucketVersioningCommand(input), options),
      );
      return answer.Status;
    }),
    ask(asking, 's3:GetBucketObjectLockConfiguration', () =>
      orElse(false, async () => {
        const answer = await send(asking, (client, options) =>
          client.send(new GetObjectLockConfigurationCommand(input), options),
        );
        return answer.ObjectLockConfiguration?.ObjectLockEnabled === 'Enabled';
      }),
    ),
    ask(asking, 's3:GetLifecycleConfiguration', async () => {
      const rules = await orElse([], async () => {
        const answer = await send(asking, (client, options) =>
          client.send(new GetBucketLifecycleConfigurationCommand(input), options),
        );
        return answer.Rules ?? [];
      });
      return lifecycleFacts(rules, `${prefix}/`);
    }),
    ask(asking, 's3:GetBucketNotification', async () => {
      const answer = await send(asking, (client, options) =>
        client.send(new GetBucketNotificationConfigurationCommand(input), options),
      );
      return [
        ...(answer.TopicConfigurations ?? []).map(() => 'topic'),
        ...(answer.QueueConfigurations ?? []).map(() => 'queue'),
        ...(answer.LambdaFunctionConfigurations ?? []).map(() => 'function'),
        ...(answer.EventBridgeConfiguration === undefined ? [] : ['EventBridge']),
      ];
    }),
  ]);
  return { publicAccess, encryption, versioning, objectLock, lifecycle, notifications };
}

/** What rules do to keys that begin with `prefix`. A rule for some of them only is none for the cache. */
export function lifecycleFacts(rules: readonly LifecycleRule[], prefix: string): LifecycleFacts {
  const ours = rules.filter((rule) => rule.Status === 'Enabled' && appliesTo(rule, prefix));
  const days = (values: (number | undefined)[]): number | undefined => {
    const set = values.filter((value) => value !== undefined);
    return set.length === 0 ? undefined : Math.min(...set);
  };
  return {
    expiresAfterDays: days(ours.map(({ Expiration }) => Expiration?.Days)),
    abortsUploadsAfterDays: days(
      ours.map(({ AbortIncompleteMultipartUpload: abort }) => abort?.DaysAfterInitiation),
    ),
    movesTo: ours.flatMap(({ Transitions = [] }) =>
      Transitions.flatMap(({ StorageClass }) => (StorageClass === undefined ? [] : [StorageClass])),
    ),
  };
}

/** Whether every entry falls under the rule. `Prefix` without a filter is how rules were written before 2014. */
function appliesTo({ Filter: filter, Prefix: old }: LifecycleRule, prefix: string): boolean {
  if (filter?.Tag !== undefined || filter?.And?.Tags !== undefined) return false;
  return prefix.startsWith(filter?.And?.Prefix ?? filter?.Prefix ?? old ?? '');
}

/** S3 says that there is no such setting by an error. */
async function orElse<T, U>(none: U, request: () => Promise<T>): Promise<T | U> {
  try {
    return await request();
  } catch (error) {
    if (NOTHING_SET.has(inspect(error).name)) return none;
    throw error;
  }
}

const NOTHING_SET = new Set([
  'NoSuchPublicAccessBlockConfiguration',
  'ServerSideEncryptionConfigurationNotFoundError',
  'ObjectLockConfigurationNotFoundError',
  'ObjectLockConfigurationNotFound',
  'NoSuchLifecycleConfiguration',
]);
