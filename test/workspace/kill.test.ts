import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { broken, brokenAfterNextRun, buildVictim, type Victim } from './kill-driver.ts';
import { isRoot } from '../support/user.ts';
import { KINDS, KINDS_OF_NOBODY, makeScene, whyNoMounts, type Kind } from './kinds.ts';

const noMounts = whyNoMounts();

/** Kills for each kind of target, spread over the restore's calls; the long form (test/fuzz/kill-points.ts) takes them all. */
const SPREAD = 16;
/** And its very last calls: by then there is little left that tells the next run to clear up. */
const LAST = 4;

describe('kill -9', () => {
  let victim: Victim;
  beforeAll(async () => {
    victim = await buildVictim();
  });
  afterAll(() => victim.remove());

  for (const kind of [...KINDS, ...KINDS_OF_NOBODY]) {
    const unable = whyNot(kind);
    it.skipIf(unable !== undefined)(
      `${kind.name}: whole with a receipt, or none${unable ?? ''}`,
      async () => {
        const changes = await countChanges(kind);
        const points = Array.from({ length: SPREAD }, (_, n) => 1 + Math.floor((n * changes) / SPREAD));
        for (let n = LAST; n > 0; n--) points.push(changes - n + 1);
        for (const killAt of points) {
          const scene = makeScene(kind);
          try {
            expect(victim.run({ restore: scene.restore, killAt }, kind.uid)).toBeUndefined();
            expect({ killAt, faults: broken(kind, scene) }).toEqual({ killAt, faults: [] });
            const faults = await brokenAfterNextRun(kind, scene, victim);
            expect({ killAt, faults }).toEqual({ killAt, faults: [] });
          } finally {
            scene.remove();
          }
        }
      },
    );
  }

  /** Of a restore that is left to end, and judged by the same rules. */
  async function countChanges(kind: Kind): Promise<number> {
    const scene = makeScene(kind);
    try {
      const { changes = 0 } = victim.run({ restore: scene.restore }, kind.uid) ?? {};
      expect(await brokenAfterNextRun(kind, scene, victim)).toEqual([]);
      return changes;
    } finally {
      scene.remove();
    }
  }
});

function whyNot({ mounts, uid }: Kind): string | undefined {
  if (mounts && noMounts !== undefined) return ` (${noMounts})`;
  return uid !== undefined && !isRoot() ? ' (takes root to become another user)' : undefined;
}
