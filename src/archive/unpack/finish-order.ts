import type { PendingStat } from '../workers/protocol.ts';

/** Appending to a tar adds directories again. As tar programs have it, the later entry counts. */
export function lastOfEach(pendingStats: readonly PendingStat[]): PendingStat[] {
  const last = new Map<string, PendingStat>();
  for (const pendingStat of pendingStats) {
    const other = last.get(pendingStat.target);
    if (other === undefined || (pendingStat.order ?? 0) >= (other.order ?? 0))
      last.set(pendingStat.target, pendingStat);
  }
  return [...last.values()];
}
