/** A sample of what `npm-trees.ts` does at length. */
import { expect, it } from 'vitest';
import { describeFixture, sharedFixture } from '../support/fixtures.ts';
import { makeTemporaryFolder } from '../support/temporary.ts';
import { describeProject, openNpm, playRound } from './npm/rounds.ts';

/** Seeds of rounds that npm does not refuse; together they have most of what a project can have. */
const SEEDS = [1, 2, 3, 4, 5, 6, 5030, 5062, 88, 9023, 20020, 20044, 20106, 30080];

describeFixture('npm trees', await sharedFixture('npm-versions'), ({ folders }) => {
  const npms = folders.map(openNpm);

  it.each(SEEDS)('get npm’s own verdict as installed and as damaged (seed %i)', async (seed) => {
    const folder = await makeTemporaryFolder('npm-trees');
    try {
      const result = await playRound({ seed, folder: folder.path, npms, damages: 8 });
      expect(result.findings, describeProject(seed, npms.length)).toEqual([]);
      expect(result.compared, result.refused).toBeGreaterThan(0);
    } finally {
      await folder.remove();
    }
  });
});
