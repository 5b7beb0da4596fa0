import type { Settling } from '../workers/protocol.ts';

/** Appending to a tar adds directories again. As tar programs have it, the later entry counts. */
export function lastOfEach(settlings: readonly Settling[]): Settling[] {
  const last = new Map<string, Settling>();
  for (const settling of settlings) {
    const other = last.get(settling.target);
    if (other === undefined || (settling.order ?? 0) >= (other.order ?? 0))
      last.set(settling.target, settling);
  }
  return [...last.values()];
}
