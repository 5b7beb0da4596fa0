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

export type Section = 'settings' | 'files' | 'credentials' | 'connection' | 'store' | 'project' | 'machine';
