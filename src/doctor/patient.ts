import type { Survey } from '../config/survey.ts';
import type { Session } from '../session/session.ts';
import type { Finding } from './finding.ts';

/** The project that is examined, with its settings as far as they can be read. */
export interface Patient {
  survey: Survey;
  /** Undefined if there is no valid configuration, even without the invalid settings. */
  session: Session | undefined;
  /** Aborted by SIGINT, SIGTERM and SIGHUP. */
  signal: AbortSignal;
}

/**
 * One part of the examination. A `CacheError` that it throws becomes a finding.
 * @param what the earlier parts found
 */
export type Check = (patient: Patient, found: readonly Finding[]) => Finding[] | Promise<Finding[]>;
