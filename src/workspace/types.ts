import type { Targets } from './places/places.ts';

/**
 * Where a restore unpacks. It unpacks into a staging area on the target's own file system, checks everything,
 * then commits by rename. A tree counts as restored only with its receipt.
 */
export interface StagingOptions extends Targets {
  /** Aborts waiting for another restore of the same target, and everything after. */
  signal: AbortSignal;
  /** Of leases that this run works under already. See lease.ts. @default none */
  tokens?: readonly string[];
  /** Called once when another live restore holds the target and this one waits for it. */
  onWait?: (owner: string) => void;
  /** Called when something of an old tree could not be removed; the restore itself is not in danger. */
  onWarning?: (message: string, hint: string) => void;
}

export interface Staging {
  /**
   * Where each target may be unpacked: absolute paths that do not exist yet, on the file system of their
   * target.
   */
  readonly roots: readonly { prefix: string; dir: string }[];

  /** Whether another restore of the same target had to end first: it may have done the work. */
  readonly waited: boolean;

  /**
   * Puts the unpacked trees in place: removes the old receipts and markers, then swaps each of `present` in,
   * and removes targets that exist but are not in `present`. All or nothing if the file system allows it.
   * After a crash half-way, the next run's `openStaging` undoes or finishes it.
   * @throws CacheError DISK_FULL, TARGET_UNWRITABLE, …; then what was there before is there again.
   */
  commit(present: readonly string[]): Promise<void>;

  /** Removes the staging area and the old trees, whether or not anything was committed. Idempotent. */
  close(): Promise<void>;
}
