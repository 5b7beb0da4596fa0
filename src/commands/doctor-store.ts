import { exitCodeOf, type Finding } from '../doctor/finding.ts';
import { estimates } from '../doctor/store/estimate.ts';
import { storeFindings } from '../doctor/store/findings.ts';
import { storeMatrix } from '../doctor/store/matrix.ts';
import { CacheError } from '../errors.ts';
import { bucketWithCredentials, whyOff, type Session } from '../session/session.ts';

export interface StoreDiagnosis {
  findings: Finding[];
  /** Rows of three: the question, the answer, what sandbox-cache does then. */
  matrix: string[][];
  /** 3 when caching would fail, else 0. */
  exitCode: 0 | 3;
}

/** Longest silence of the service. */
const SILENCE_MS = 8000;
/** Limit for the whole examination, the removal of what it wrote included. */
const LIMIT_MS = 180_000;

/**
 * Examines the bucket. Unless nothing may be written, it writes at most 16 MiB below `<prefix>/.doctor`, and
 * removes them.
 */
export async function doctorStore(session: Session, options: { write: boolean }): Promise<StoreDiagnosis> {
  const { prefix, stallTimeoutMs } = session.config;
  const s3 = bucketWithCredentials(session.config);
  if (s3 === undefined) {
    throw new CacheError('CONFIG_INVALID', 'CACHE_S3_BUCKET is not set: there is no bucket to look at', {
      hint: 'Set it in the environment or in .env.claude-sandbox.',
    });
  }
  const end = session.begin(LIMIT_MS);
  try {
    const { probeStore } = await import('../store/s3/probe/probe.ts');
    const facts = await probeStore({
      ...s3,
      prefix,
      signal: session.signal,
      stallTimeoutMs: Math.min(stallTimeoutMs, SILENCE_MS),
      noWrite: options.write ? whyOff(session.config, 'write') : '--no-write is given',
    });
    const findings = [...storeFindings(facts, s3), ...(await estimates(session, facts))];
    return { findings, matrix: storeMatrix(facts), exitCode: exitCodeOf(findings) };
  } finally {
    end();
  }
}
