/** A sample of what `npm-bumps.ts` does at length. */
import { expect, it } from 'vitest';
import { describeFixture, sharedFixture } from '../support/fixtures.ts';
import { makeTemporaryFolder } from '../support/temporary.ts';
import { playBump } from './npm/incremental.ts';
import { openNpm } from './npm/rounds.ts';

/** Seeds of bumps that keep packages; between them they have workspaces, scripts, links and both versions of npm. */
const SEEDS = [2, 8, 10, 12];

describeFixture('npm bumps', await sharedFixture('npm-versions'), ({ folders }) => {
  const npms = folders.map(openNpm);

  it.each(SEEDS)('make the tree that npm ci makes (seed %i)', async (seed) => {
    const folder = await makeTemporaryFolder('npm-bumps');
    try {
      const { type, why, kept } = await playBump({ seed, folder: folder.path, npms });
      expect(type, why).toBe('exact');
      expect(kept).toBeGreaterThan(0);
    } finally {
      await folder.remove();
    }
  });
});
