/** A sample of what `gem-bumps.ts` does at length. */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { rubyMissing } from '../support/gem-project.ts';
import { makeTemporaryFolder, type TemporaryFolder } from '../support/temporary.ts';
import { buildGems, playGemBump } from './gems.ts';

/** Between them they keep and rebuild compiled gems, and drop and add gems and programs. */
const SEEDS = [1, 2, 3];

describe.skipIf((await rubyMissing()) !== undefined)('gem bumps', () => {
  let folder: TemporaryFolder;
  beforeAll(async () => {
    folder = await makeTemporaryFolder('gem-bumps');
    await buildGems(join(folder.path, 'source'));
  });
  afterAll(() => folder.remove());

  it.each(SEEDS)('make the bundle that an install from nothing makes (seed %i)', async (seed) => {
    const work = await makeTemporaryFolder('gem-bump');
    try {
      const { type, why, kept } = await playGemBump(seed, {
        folder: work.path,
        source: join(folder.path, 'source'),
      });
      expect(type, why).toBe('exact');
      expect(kept).toBeGreaterThan(0);
    } finally {
      await work.remove();
    }
  });
});
