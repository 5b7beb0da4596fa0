/** When an entry that is used has to be renewed, lest a lifecycle rule or `prune` deletes it as old. */
import type { EntryInfo } from '../../store.ts';

const DAY_MS = 24 * 60 * 60 * 1000;
/** Where the service tells no date of expiry: rules commonly say 30 days. */
const WEEK_MS = 7 * DAY_MS;

/**
 * Whether it is a week old, or has had half its life. Never on the day that it was written.
 * @param now by the service's clock, milliseconds since 1970
 */
export function isDue({ modified, expires }: Pick<EntryInfo, 'modified' | 'expires'>, now: number): boolean {
  if (modified === undefined) return false;
  const lifeMs = expires === undefined ? Infinity : expires.getTime() - modified.getTime();
  const dueMs = Math.max(DAY_MS, Math.min(WEEK_MS, lifeMs / 2));
  return now - modified.getTime() > dueMs;
}

/**
 * Sample value of `x-amz-expiration`: `expiry-date="Fri, 23 Dec 2012 00:00:00 GMT", rule-id="cache"`. S3 sends
 * it where a lifecycle rule will delete the object.
 */
export function expiryDate(header: string | undefined): Date | undefined {
  const text = /expiry-date="([^"]*)"/.exec(header ?? '')?.[1];
  const date = new Date(text ?? NaN);
  return Number.isNaN(date.getTime()) ? undefined : date;
}
