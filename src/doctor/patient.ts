import type { Survey } from '../config/survey.ts';
import type { Session } from '../session/session.ts';
import type { Finding } from './finding.ts';

/** What is examined: a project with its settings, as far as they can be read. */
export interface Patient {
  survey: Survey;
  /** Undefined where no configuration can be made of the settings, even without the faulty ones. */
  session: Session | undefined;
  /** Aborted by SIGINT, SIGTERM and SIGHUP. */
  signal: AbortSignal;
}

/**
 * One part of the examination. A `CacheError` that it throws becomes a finding.
 * @param found by the parts before
 */
export type Check = (patient: Patient, found: readonly Finding[]) => Finding[] | Promise<Finding[]>;
