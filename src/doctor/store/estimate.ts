/** How long the project's entries would travel, from what was measured a moment ago. */
import { CacheError } from '../../errors.ts';
import { choose } from '../../session/choose.ts';
import { identify } from '../../session/identify.ts';
import type { Session } from '../../session/session.ts';
import type { StoreFacts } from '../../store/s3/probe/facts.ts';
import { formatBytes } from '../../text/format-bytes.ts';
import { lookForEntry } from '../entry.ts';
import type { Finding } from '../finding.ts';

/** @returns a line for each entry that is stored. What a recipe cannot tell is `doctor`'s to say. */
export async function estimates(session: Session, facts: StoreFacts): Promise<Finding[]> {
  const { download, upload, latencyMs } = facts;
  if (download.type !== 'known') return [];
  const roundTripMs = latencyMs.type === 'known' ? latencyMs.value : 0;
  const findings: Finding[] = [];
  for (const recipe of choose(session, [], {})) {
    const size = await sizeOf(session, recipe);
    if (size === undefined) continue;
    // Small entries come by one connection, and a look at the entry precedes it.
    const travel = (bytesPerSecond: number): string =>
      seconds((2 * roundTripMs) / 1000 + size / bytesPerSecond);
    const best = ({ one, four }: { one: number; four: number }): number => Math.max(one, four);
    const back =
      upload.type === 'known' ? `, and a save some ${travel(best(upload.value))} to send all of it` : '';
    findings.push({
      id: `${recipe.name}-estimate`,
      section: 'store',
      mark: 'ok',
      fact: `${recipe.name}: at this speed a restore takes some ${travel(best(download.value))} to fetch its ${formatBytes(size)}${back}`,
    });
  }
  return findings;
}

async function sizeOf(
  session: Session,
  recipe: ReturnType<typeof choose>[number],
): Promise<number | undefined> {
  try {
    const subject = await identify(session, recipe);
    return subject === undefined ? undefined : (await lookForEntry(session, subject)).entry?.size;
  } catch (error) {
    if (!(error instanceof CacheError) || session.signal.aborted) throw error;
    return undefined;
  }
}

function seconds(value: number): string {
  return value < 0.1 ? '0.1 s' : value < 10 ? `${value.toFixed(1)} s` : `${Math.round(value)} s`;
}
