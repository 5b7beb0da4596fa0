/** What the doctor says: one fact, whether it is well, and what mends it. */
export interface Finding {
  /** Kebab-case and stable: scripts look for it. */
  id: string;
  section: Section;
  mark: Mark;
  /** One sentence. */
  fact: string;
  /** A line to type into a shell in the directory that the doctor was called from. */
  mend?: string;
}

/** `failure`: caching fails with it. `warning`: it works, but not as well or as safely as it could. */
export type Mark = 'ok' | 'warning' | 'failure';

/** 3 when caching would fail, else 0. */
export function exitCodeOf(findings: readonly Finding[]): 0 | 3 {
  return findings.some(({ mark }) => mark === 'failure') ? 3 : 0;
}

/** Makes what all findings of a section have. */
export function findingsOf(section: Section) {
  return (id: string, mark: Mark): Pick<Finding, 'id' | 'section' | 'mark'> => ({ id, section, mark });
}

export type Section = 'settings' | 'files' | 'credentials' | 'connection' | 'store' | 'project' | 'machine';
