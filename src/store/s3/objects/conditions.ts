/**
 * Conditions of writes and deletions, and what servers make of them. A refusal alone proves nothing:
 * OpenStack Swift and Ceph RGW refuse an ETag that they gave themselves, as a rule that of an object of
 * several parts. Whoever is refused looks again: where the same object is still there, the server cannot use
 * this condition.
 */
import { inspect } from '../errors/inspect.ts';

/** Whether a conditional request may have failed because of its condition. */
export function refusesCondition(error: unknown): boolean {
  const { name, status } = inspect(error);
  return REFUSALS.has(name) || status === 412 || status === 501;
}

/** Swift says `InvalidRequest` when another writer was faster. */
const REFUSALS = new Set(['PreconditionFailed', 'InvalidRequest', 'InvalidArgument', 'NotImplemented']);
