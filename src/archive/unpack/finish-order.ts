import type { PendingStat } from '../workers/protocol.ts';

/** `tar -r` adds directories a second time. The later entry counts, as it does for tar programs. */
export function lastOfEach(pendingStats: readonly PendingStat[]): PendingStat[] {
  const last = new Map<string, PendingStat>();
  for (const pendingStat of pendingStats) {
    const other = last.get(pendingStat.target);
    if (other === undefined || (pendingStat.order ?? 0) >= (other.order ?? 0))
      last.set(pendingStat.target, pendingStat);
  }
  return [...last.values()];
}
