/** The lifecycle rule of one prefix, among rules that may be others'. */
import type { LifecycleRule } from '@aws-sdk/client-s3';
import type { Wanted } from './wanted.ts';

/** The rule's ID: `sandbox-cache claude-sandbox-cache`. S3 takes 255 characters. */
function ruleId(prefix: string): string {
  return `sandbox-cache ${prefix}`.slice(0, 255);
}

export function wantedRule({ prefix, expireDays, abortDays, tiering }: Wanted): LifecycleRule {
  return {
    ID: ruleId(prefix),
    Status: 'Enabled',
    Filter: { Prefix: `${prefix}/` },
    ...(expireDays === undefined ? {} : { Expiration: { Days: expireDays } }),
    ...(tiering ? { Transitions: [{ Days: 0, StorageClass: 'INTELLIGENT_TIERING' }] } : {}),
    AbortIncompleteMultipartUpload: { DaysAfterInitiation: abortDays },
  };
}

/**
 * All rules that the bucket is to have: S3 replaces the whole list.
 * @returns undefined if the rule is among them already
 */
export function mergedRules(
  present: readonly LifecycleRule[],
  wanted: LifecycleRule,
): LifecycleRule[] | undefined {
  const own = present.find(({ ID }) => ID === wanted.ID);
  if (own !== undefined && text(own) === text(wanted)) return undefined;
  return [...present.filter((rule) => rule !== own), wanted];
}

/** The same for the same rule, whatever the order and the empty parts that a service lists. */
function text({ ID, Status, Filter, Expiration, Transitions = [], ...rest }: LifecycleRule): string {
  return JSON.stringify([
    ID,
    Status,
    Filter?.Prefix,
    Expiration?.Days,
    Transitions.map(({ Days = 0, StorageClass }) => [Days, StorageClass]),
    rest.AbortIncompleteMultipartUpload?.DaysAfterInitiation,
  ]);
}
