import type { OutcomeDetail } from './outcome.ts';
import type { Session } from './session.ts';

/**
 * Starts another process that saves, and leaves it: `save --background`. It has no output, since whoever reads ours may
 * wait for it to end. What it did shows in `list`, and in the next `save`.
 */
export async function saveInBackground({ config }: Session, argv: readonly string[]): Promise<OutcomeDetail> {
  if (config.store.type === 'off') return { type: 'off', reason: 'CACHE_S3_BUCKET is not set' };
  if (config.readonly) return { type: 'off', reason: 'CACHE_READONLY is set' };
  // Loaded here: it would cost every start a few milliseconds.
  const { spawn } = await import('node:child_process');
  const child = spawn(process.execPath, [process.argv[1]!, ...argv], { detached: true, stdio: 'ignore' });
  child.unref();
  return { type: 'started', pid: child.pid ?? 0 };
}
