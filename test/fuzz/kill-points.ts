/**
 * A restore killed before every single call with which it changes the file system, and the run after it killed at a random one too:
 * `tsx test/fuzz/kill-points.ts [--seed 1] [--kind name]`. Status 1 when a promise is broken.
 */
import { parseArgs } from 'node:util';
import { randomSource } from '../support/tree.ts';
import { broken, brokenAfterNextRun, buildVictim, type Victim } from '../workspace/kill-driver.ts';
import { isRoot } from '../support/user.ts';
import { KINDS, KINDS_OF_NOBODY, makeScene, whyNoMounts, type Kind } from '../workspace/kinds.ts';

const { values } = parseArgs({
  options: { seed: { type: 'string', default: '1' }, kind: { type: 'string' } },
});
const random = randomSource(Number(values.seed));
const noMounts = whyNoMounts();
const victim = await buildVictim();
try {
  for (const kind of [...KINDS, ...KINDS_OF_NOBODY]) {
    if (values.kind !== undefined && values.kind !== kind.name) continue;
    if ((kind.mounts && noMounts !== undefined) || (kind.uid !== undefined && !isRoot())) {
      process.stdout.write(`${kind.name}: not tried, ${noMounts ?? 'takes root'}\n`);
      continue;
    }
    const { points, faults } = await killEverywhere(kind, victim);
    process.stdout.write(
      `${kind.name}: killed before each of ${points} calls; broken promises ${faults.length}\n`,
    );
    for (const fault of faults) process.stdout.write(`BROKEN ${fault}\n`);
    if (faults.length > 0) process.exitCode = 1;
  }
} finally {
  victim.remove();
}

async function killEverywhere(kind: Kind, victim: Victim): Promise<{ points: number; faults: string[] }> {
  const faults: string[] = [];
  for (let killAt = 1; ; killAt++) {
    const scene = makeScene(kind);
    try {
      if (victim.run({ restore: scene.restore, killAt }, kind.uid) !== undefined)
        return { points: killAt - 1, faults };
      faults.push(...broken(kind, scene).map((fault) => `before call ${killAt}: ${fault}`));
      const again = 1 + random.below(killAt + 10);
      victim.run({ restore: scene.restore, killAt: again }, kind.uid);
      const where = `before call ${killAt}, then ${again}`;
      faults.push(...broken(kind, scene).map((fault) => `${where}: ${fault}`));
      const later = await brokenAfterNextRun(kind, scene, victim);
      faults.push(...later.map((fault) => `${where}: ${fault}`));
    } finally {
      scene.remove();
    }
  }
}
