import type { PendingStat } from '../workers/protocol.ts';

/** Keeps the last entry of each directory, as tar programs do. `tar -r` adds directories a second time. */
export function lastOfEach(pendingStats: readonly PendingStat[]): PendingStat[] {
  const last = new Map<string, PendingStat>();
  for (const pendingStat of pendingStats) {
    const other = last.get(pendingStat.target);
    if (other === undefined || (pendingStat.order ?? 0) >= (other.order ?? 0))
      last.set(pendingStat.target, pendingStat);
  }
  return [...last.values()];
}
